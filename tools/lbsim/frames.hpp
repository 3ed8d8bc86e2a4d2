// SPDX-License-Identifier: Apache-2.0
// Where frames come from and go to: capture files and lines of hexadecimal digits.
#pragma once

#include <istream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/model/result.hpp"
#include "dataplane/core/types.hpp"

namespace weir::lbsim {

struct Arrival {
  std::string interface;  ///< "" when the source does not say
  u64 time = 0;           ///< nanoseconds since 1970; 0 when the source does not say
  std::vector<u8> frame;
  bool restore = false;     ///< no frame: the flow table is to be as the world has it
  std::optional<u32> wait;  ///< no frame: so many seconds pass
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  /// The next frame; nothing at the end.
  virtual Result<std::optional<Arrival>> next() = 0;
};

/// pcap (either byte order, micro- or nanoseconds) and pcapng, link type Ethernet. "-" is standard input.
[[nodiscard]] Result<std::unique_ptr<FrameSource>> open_capture(const std::string& path);

/// Lines "[INTERFACE] HEX", "!restore", "!wait SECONDS"; empty ones and those that begin with # are skipped. `input`
/// outlives the source.
[[nodiscard]] std::unique_ptr<FrameSource> read_hex(std::istream& input);

/// Writes a pcap file with nanoseconds.
class CaptureWriter {
 public:
  static Result<std::unique_ptr<CaptureWriter>> create(const std::string& path);
  virtual ~CaptureWriter() = default;
  virtual void write(std::span<const u8> frame, u64 time) = 0;
  /// Everything has reached the file; else says why not.
  virtual Result<> close() = 0;
};

[[nodiscard]] std::string hex(std::span<const u8> bytes);

}  // namespace weir::lbsim
