// SPDX-License-Identifier: Apache-2.0
// Carries planned changes into the tables in an order that a packet may cut anywhere: records before rows, rows before
// the index; the reverse on removal.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/model/plan.hpp"
#include "control/model/result.hpp"
#include "control/model/settings.hpp"
#include "control/table/address_book.hpp"
#include "control/table/allocator.hpp"
#include "control/table/records.hpp"

namespace weir::table {

/// What the publisher asks the rest of the daemon.
struct Surroundings {
  std::function<Hop(const Ip& address)> hop_of;
  std::function<bool(const Ip& address)> is_local;           ///< the host owns the address
  std::function<void(u32 id)> service_given, backend_given;  ///< an id begins a new life: its counters restart
};

/// Ids and shares of a published service.
struct Placed {
  u32 id = 0;
  u32 first_row = 0;
  u32 rows = 0;
  std::map<std::string, u32> backends;      ///< endpoint's text -> backend id
  std::unordered_map<u32, u32> rows_owned;  ///< backend id -> rows
};

class Publisher {
 public:
  /// Takes over the records that `memory` holds: a service or backend that a step asks for keeps its id, its rows and
  /// its counters. What no step has asked for stays as it is until `settle`.
  Publisher(TableMemory& memory, const model::Seed& seed, Surroundings surroundings);

  /// Whether `apply` will find room for everything, so that a plan can be made durable before it is carried out. Fault
  /// conflict.
  [[nodiscard]] Result<> reserve(const model::Plan& plan) const;
  /// Carries out the steps: what is new first, then what goes. Fault internal when a table is full.
  Result<> apply(const model::Plan& plan);
  /// Ends the take-over: removes what an earlier daemon had published and nobody has asked for.
  void settle();

  /// The way to an address has changed. A packet that meets both stores halfway is not sent where it does not fit.
  void set_hop(const Ip& backend, const Hop& hop);
  void set_local(const Ip& vip, bool local);

  [[nodiscard]] const Placed* placed(const std::string& service) const;
  [[nodiscard]] u32 rows_used() const { return row_pool_.used(); }

 private:
  void adopt();
  Result<> put(const model::Service& service);
  void remove(const std::string& name);
  void take_over(const model::Service& service, Placed& placed);
  Result<> add_backends(const model::Service& service, Placed& placed);
  void drop_absent(const model::Service& service, Placed& placed);
  Result<> write_rows(const model::Service& service, Placed& placed);
  void withdraw_service(u32 id);
  void withdraw_backend(u32 id);
  [[nodiscard]] VipState state_of(const Ip& vip) const;

  TableMemory& memory_;
  model::Seed seed_;
  Surroundings around_;
  AddressBook book_;
  IdPool service_ids_;
  IdPool backend_ids_;
  RowPool row_pool_;
  std::map<std::string, Placed> placed_;
  std::unordered_multimap<std::string, u32> backends_at_;  // address's text -> backend ids
  std::map<u32, std::map<std::string, u32>> adopted_;      // service id -> its backends, as in Placed; until settle()
};

}  // namespace weir::table
