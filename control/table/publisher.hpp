// SPDX-License-Identifier: Apache-2.0
// Carries planned changes into the tables in an order that a packet may cut anywhere: records before rows, rows before
// the index; the reverse on removal. And no change of a row takes a flow from a living backend: see row_change.hpp.
//
//   publisher.cpp  one plan, service by service
//   rows.cpp       whole tables of rows, pure
//   ageing.cpp     rows: written, later pinned and settled
//   leaving.cpp    backends that are no longer wanted, and ids that are not free yet
//   adoption.cpp   what an earlier daemon has left in the tables
//   foresee.cpp    what a plan would do
//   reserve.cpp    whether a plan has room
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/flows/survey.hpp"
#include "control/model/plan.hpp"
#include "control/model/result.hpp"
#include "control/model/settings.hpp"
#include "control/table/address_book.hpp"
#include "control/table/allocator.hpp"
#include "control/table/placed.hpp"
#include "control/table/records.hpp"

namespace weir::table {

/// What the publisher asks the rest of the daemon.
struct Surroundings {
  std::function<Hop(const Ip& address)> hop_of;
  std::function<bool(const Ip& address)> is_local;           ///< the host owns the address
  std::function<void(u32 id)> service_given, backend_given;  ///< an id begins a new life: its counters restart
  /// A backend that the model has no more needs the way to its address (true), and needs it no longer (false).
  std::function<void(const Ip& address, bool needed)> hop_needed = [](const Ip&, bool) {};
  /// A pass over the flow table, now. Empty: there is no flow table, and ids are free once they have rested.
  std::function<flows::Survey()> sweep = {};
  std::function<Time()> clock = [] { return std::chrono::steady_clock::now(); };  ///< CLOCK_MONOTONIC
};

/// What a plan would do to one service.
struct Effect {
  std::string service;
  u32 id = 0;               ///< of the service as it stands now; 0: it is new
  u32 rows = 0;             ///< after the change
  u32 rows_moved = 0;       ///< rows that would get another owner
  std::vector<u32> dying;   ///< backends whose flows would be reset or would pick anew, all of them
  std::vector<u32> losing;  ///< backends that would lose flows which the flow table does not know
};

class Publisher {
 public:
  /// Takes over the records that `memory` holds: a service or backend that a step asks for keeps its id, its rows and
  /// its counters. What no step has asked for stays as it is until `settle`.
  Publisher(TableMemory& memory, const model::Seed& seed, Surroundings surroundings);

  /// Whether `apply` will find room for everything, so that a plan can be made durable before it is carried out. Fault
  /// conflict.
  [[nodiscard]] Result<> reserve(const model::Plan& plan) const;
  /// What `apply` would do to rows and flows: an effect for each step, in their order. Nothing changes.
  [[nodiscard]] std::vector<Effect> foresee(const model::Plan& plan) const;
  /// Carries out the steps: what is new first, then what goes. Fault internal when a table is full.
  Result<> apply(const model::Plan& plan);
  /// Ends the take-over: removes what an earlier daemon had published and nobody has asked for.
  void settle();

  /// Lets time pass: ends settle windows, settles rows that hold no flow of another backend than their owner, lets
  /// backends go that no flow needs, and frees ids that no flow names. `survey` is complete, made with unsettled().
  /// `knows_all` says of a service's name whether the flow table has every flow of it: whoever is unknown is new then,
  /// and has the row's new owner at once.
  void age(const flows::Survey& survey, Time now, const std::function<bool(const std::string&)>& knows_all = {});
  /// By service id: whether a survey should look at its rows.
  [[nodiscard]] std::vector<bool> unsettled() const;

  /// Ends the flows of a backend: its state becomes resetting, until it is made active or goes. Nothing happens when
  /// there is no such backend.
  void end(const std::string& service, const model::Endpoint& endpoint);

  /// The way to an address has changed. A packet that meets both stores halfway is not sent where it does not fit.
  void set_hop(const Ip& backend, const Hop& hop);
  void set_local(const Ip& vip, bool local);

  [[nodiscard]] const Placed* placed(const std::string& service) const;
  [[nodiscard]] u32 rows_used() const { return row_pool_.used(); }
  /// Rows whose unknown flows belong to a backend that is not the owner: it may have flows that nobody has seen yet.
  [[nodiscard]] u32 rows_open_on(u32 backend) const;
  [[nodiscard]] RowTotals row_totals() const;
  /// Rows of a service that have been given another owner since it was published or taken over.
  [[nodiscard]] u64 moved(const std::string& service) const;

 private:
  struct Retired {
    u32 id;
    u32 since;  // tick
  };
  struct Stretch {
    u32 first;
    bool moves;
  };

  void adopt();
  void take_over(const model::Service& service, Placed& placed);
  void count_rows(Placed& placed) const;

  Result<> put(const model::Service& service, const model::Plan& plan);
  [[nodiscard]] const Placed* predecessor(const model::Service& service, const model::Plan& plan) const;
  Result<Stretch> make_room(const model::Service& service, const Placed& placed);
  Result<> add_backends(const model::Service& service, Placed& placed);
  void set_terms(const model::Service& service, Placed& placed);
  void set_states(const model::Service& service, Placed& placed);
  void set_state(u32 id, BackendState state, Placed& placed);
  void remove(const std::string& name);

  [[nodiscard]] bool stands_there(const Placed& placed, const model::Service& service) const;
  void foresee_rows(const model::Service& service, const Placed& present, Effect& effect) const;
  void foresee_states(const model::Service& service, const Placed& present, Effect& effect) const;

  [[nodiscard]] std::vector<u32> owners_of(const model::Service& service,
                                           const std::function<u32(const std::string& endpoint)>& id_of) const;
  [[nodiscard]] std::span<const Row> rows_of(const Placed& placed) const;
  [[nodiscard]] bool is_alive(u32 backend) const;
  void write_rows(const model::Service& service, Placed& placed, const Stretch& stretch);
  void repair_rows(Placed& placed);
  void age(Placed& placed, const flows::Survey& survey, u32 now);

  void drop_absent(const model::Service& service, Placed& placed);
  void evict_leaving(const Backend& newcomer);
  void let_go(Placed& placed, const flows::Survey& survey, u32 now, const std::unordered_set<u32>& named);
  void withdraw(const Placed& placed);
  void withdraw_service(u32 id);
  void withdraw_backend(u32 id);
  void reclaim(const flows::Survey& survey);
  std::optional<u32> take_id(IdPool& pool);

  [[nodiscard]] u32 tick() const;
  [[nodiscard]] u32 tick_after_rest() const;
  [[nodiscard]] VipState state_of(const Ip& vip) const;

  TableMemory& memory_;
  model::Seed seed_;
  Surroundings around_;
  bool stateless_;  // WEIR_TEST_STATELESS: rows are settled at once, as in a balancer without memory
  AddressBook book_;
  IdPool service_ids_;
  IdPool backend_ids_;
  RowPool row_pool_;
  std::vector<Retired> retired_services_, retired_backends_;  // entries of the flow table may still name them
  std::map<std::string, Placed> placed_;
  std::unordered_multimap<std::string, u32> backends_at_;  // address's text -> backend ids
  std::map<u32, std::map<std::string, u32>> adopted_;      // service id -> its backends, as in Placed; until settle()
};

}  // namespace weir::table
