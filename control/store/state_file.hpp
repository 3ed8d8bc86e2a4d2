// SPDX-License-Identifier: Apache-2.0
// What lbctl has changed relative to the configuration file, kept over restarts.
//
// The file: a line "weir-state 1 <XXH64 of the body, 16 hex digits> <length of the body in bytes>", then the body,
// JSON: {"base":"FILE","config_checksum":"16 hex digits","services":{NAME:{...}},"tombstones":[NAME]}.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "control/model/result.hpp"
#include "control/model/service.hpp"

namespace weir::store {

struct State {
  using Services = std::map<std::string, std::shared_ptr<const model::Service>>;

  std::string base;                  ///< what `services` and `tombstones` change: "" the configuration file, else the
                                     ///< file of that name in the same directory, which holds an applied set
  u64 config_checksum = 0;           ///< checksum() of the configuration file at that time
  Services services;                 ///< added or replaced; never null
  std::set<std::string> tombstones;  ///< services of the configuration file that were deleted; disjoint from `services`
};

/// XXH64 with seed 0.
[[nodiscard]] u64 checksum(std::string_view text);

class StateFile {
 public:
  explicit StateFile(std::string path) : path_(std::move(path)) {}

  /// The stored state; an absent file is an empty one. A file that is cut, altered, or of another version is an error
  /// (Fault::invalid) that says what is wrong with it.
  [[nodiscard]] Result<State> load() const;

  /// Stores `state`; when it returns without error it is on disk. On a fault (internal) the old file is as it was.
  /// Services that are the same objects as in the last call are not turned into text again.
  [[nodiscard]] Result<> save(const State& state);

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Text {
    std::shared_ptr<const model::Service> service;  // held, so that its address stands for its value
    std::string json;
  };
  std::string path_;
  std::map<std::string, Text> texts_;
};

}  // namespace weir::store
