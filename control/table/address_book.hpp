// SPDX-License-Identifier: Apache-2.0
// What the index and the filter say of addresses. All keys are written here, so that those that follow from others (the
// VIP itself, the filter's bits, who gets fragments) cannot disagree with them.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "control/table/index_writer.hpp"

namespace weir::table {

/// Services and backends are named by their ids; their records stand in the tables before they come here and until they
/// have gone from here.
class AddressBook {
 public:
  using Backends = std::map<std::string, u32>;  ///< endpoint's text -> backend id

  /// Takes over the keys that `memory` holds. Each record that is in use has to be adopted before anything else.
  explicit AddressBook(TableMemory& memory) : memory_(memory), index_(memory) {}
  void adopt_service(u32 id, VipState state);
  void adopt_backend(u32 id);
  /// Ends the take-over: removes keys and filter bits that belong to no record, and writes those that are missing.
  void settle();

  /// The service is found from here on, in the place of another one at the same VIP, port and protocol. False when the
  /// index is full.
  bool add_service(u32 id, VipState state);
  void remove_service(u32 id);
  /// The answers of a nat backend are found from here on; backends of other modes have none. False as above.
  bool add_backend(u32 id);
  void remove_backend(u32 id);
  /// To be called for a new service first of all; later before its record stops to hash on the source, and after it has
  /// begun to.
  void set_hash(u32 service, HashOn hash, const Backends& backends);
  void set_local(const Ip& vip, VipState state);

  /// Whether answers of a backend are mapped back by its own record, as far as its mode needs that.
  [[nodiscard]] bool answers(u32 id) const;
  /// The service at the VIP, port and protocol of `record`, or 0.
  [[nodiscard]] u32 service_at(const Service& record) const;

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const { return index_hash(address_word(key.address), key.word); }
  };
  // Who shares an address and protocol, by port, under the key that one of them has for fragments if it is alone.
  using Sharers = std::map<u16, u32>;

  void expect(const Ip& address);
  void forget(const Ip& address);
  void retain_vip(const Ip& vip, VipState state);
  bool share(const Key& key, const Key& group, u16 port, u32 id);
  void unshare(const Key& key, const Key& group, u16 port, u32 id);
  [[nodiscard]] u32 taker_of_fragments(const Key& group) const;
  void refresh(const Key& group);
  [[nodiscard]] bool belongs(const IndexWriter::Entry& entry) const;

  TableMemory& memory_;
  IndexWriter index_;
  std::unordered_map<u32, u32> bits_;           // bit of the filter -> records whose address has it
  std::unordered_map<Key, u32, KeyHash> vips_;  // key of the VIP -> services
  std::unordered_map<Key, Sharers, KeyHash> groups_;
  std::unordered_set<u32> by_source_;  // services that hash on the source alone
};

}  // namespace weir::table
