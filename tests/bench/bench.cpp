// SPDX-License-Identifier: Apache-2.0
// ns per packet of the loaded XDP program, net of an empty program behind the same wrapper, in one interleaved run.
// Run by scripts/bench, which makes the network namespace that the return path's route look-ups need.
// Long because the paths that are measured and the bed that they share are read together.
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "bpf/loader.hpp"
#include "bpf/mapped.hpp"
#include "control/model/text.hpp"
#include "control/table/publisher.hpp"
#include "control/table/records.hpp"
#include "dataplane/core/decide.hpp"
#include "restore.skel.h"
#include "tests/bench/flow_record.hpp"
#include "tests/support/frames.hpp"
#include "tests/support/test_run.hpp"

namespace {

using namespace weir;
using bench::FlowRecord;

constexpr u32 max_flows = 1 << 20;
const model::Seed seed = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "bench: {}\n", why);
  std::exit(1);
}

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// What a row's frames are made of: the flow's packets, errors about what the VIP has sent, or packets with an IPv4
/// header of 16 bytes.
enum class Content { packet, error, malformed };

/// What one row of the report sends.
struct Case {
  const char* name;
  testing::FrameSpec frame;
  u32 expected_action;
  Verdict verdict;
  bool vary_destination = false;  // the answer path: the client is the destination
  Content kind = Content::packet;
  RowState rows = RowState::settled;
  bool known = true;  // to the flow table, where rows are not settled
};

model::Service service(const char* name, const char* vip, Mode mode, const char* backend_prefix, u16 port) {
  model::Service s{.name = name, .vip = model::parse_endpoint(vip).value(), .mode = mode};
  for (int i = 1; i <= 10; ++i)
    s.backends.push_back({fmt::format("b{}", i), {*model::parse_ip(fmt::format("{}{}", backend_prefix, i)), port}});
  return s;
}

testing::Bytes frame_of(Content kind, const testing::FrameSpec& spec) {
  testing::Bytes frame = testing::make_frame(spec);
  if (kind == Content::malformed) frame[14] = 0x44;
  if (kind != Content::error) return frame;
  testing::FrameSpec about = spec;  // what the VIP has answered to the client
  std::swap(about.source, about.destination);
  std::swap(about.source_port, about.destination_port);
  testing::Bytes body = {0, 0, 5, 0};
  const testing::Bytes quote = testing::datagram_of(testing::make_frame(about), 0, 128);
  body.insert(body.end(), quote.begin(), quote.end());
  return testing::make_icmp({.source = "192.0.2.33", .destination = spec.destination}, 3, 4, body);
}

class Bench {
 public:
  explicit Bench(u32 ifindex) : ifindex_(ifindex) {
    auto loaded = bpf::Engine::load({"", sizes_for(16, 256, 1 << 19), flow_sizes_for(2 * max_flows, default_embryos)});
    if (!loaded) die(loaded.error());
    engine_ = std::move(*loaded);
    initialise(engine_->memory(), table::flow_keys(seed));
    engine_->memory().ports[port_index(ifindex)] = {0xaa00'0000'0002, ifindex, 0};
    const table::Hop hop{hop_word(0x0100'0000'0002, port_index(ifindex)), 1500};
    publisher_ = std::make_unique<table::Publisher>(
        engine_->memory(), seed,
        table::Surroundings{[hop](const Ip&) { return hop; }, [](const Ip&) { return false; }, [](u32) {}, [](u32) {}});
    model::Plan plan;
    for (const auto& s : {service("nat4", "203.0.113.10:80", Mode::nat, "198.51.100.", 8080),
                          service("nat6", "[2001:db8:f::10]:80", Mode::nat, "2001:db8:b::", 8080),
                          service("dsr4", "203.0.113.20:80", Mode::l2dsr, "198.51.100.1", 80),
                          service("dsr6", "[2001:db8:f::20]:80", Mode::l2dsr, "2001:db8:b::1", 80),
                          service("ipip4", "203.0.113.60:80", Mode::ipip, "198.51.100.1", 80),
                          service("ipip6", "[2001:db8:f::60]:80", Mode::ipip, "2001:db8:b::1", 80),
                          service("gue4", "203.0.113.70:80", Mode::gue, "198.51.100.1", 80),
                          service("gue6", "[2001:db8:f::70]:80", Mode::gue, "2001:db8:b::1", 80)})
      plan.steps.push_back({s.name, nullptr, std::make_shared<model::Service>(s)});
    if (auto done = publisher_->apply(plan); !done) die(done.error().message);
    load_wrapper();
  }

  /// What an empty program costs on this machine without the wrapper: the scale for every other figure.
  double bare(int pairs, int repeat) {
    std::vector<double> costs;
    testing::FrameSpec spec;
    const testing::Bytes frame = testing::make_frame(spec);
    for (int i = 0; i < pairs; ++i) {
      const double start = thread_seconds();
      if (testing::run(empty_fd_, frame, ifindex_, repeat).error != 0) die("test run failed");
      costs.push_back((thread_seconds() - start) * 1e9 / repeat);
    }
    return median(costs);
  }

  void report(const Case& c, u32 flows, int pairs, int repeat) {
    fill(c, flows);
    set_rows(c.rows);
    if (c.rows != RowState::settled && c.known) remember(flows);
    check(c);
    std::vector<double> loaded, empty, net;
    for (int i = 0; i < pairs; ++i) {
      // ABBA: whichever half of the pair is second profits from neither.
      const bool first = i % 2 == 0;
      const double a = first ? measure(engine_->program_fd(), repeat) : measure(empty_fd_, repeat);
      const double b = first ? measure(empty_fd_, repeat) : measure(engine_->program_fd(), repeat);
      loaded.push_back(first ? a : b);
      empty.push_back(first ? b : a);
      net.push_back(loaded.back() - empty.back());
    }
    fmt::print("{:<22} {:>8} {:>9.1f} {:>9.1f} {:>9.1f}   [{:.1f} .. {:.1f}]\n", c.name, flows, median(empty),
               median(loaded), median(net), *std::min_element(net.begin(), net.end()),
               *std::max_element(net.begin(), net.end()));
    std::fflush(stdout);
  }

 private:
  void load_wrapper() {
    wrapper_ = restore_skeleton__open();
    if (!wrapper_) die("cannot open the wrapper program");
    bpf_map__set_max_entries(wrapper_->maps.bench_flows, max_flows);
    if (restore_skeleton__load(wrapper_) != 0) die("the kernel refuses the wrapper program");
    flows_ = bpf::Mapped::map(bpf_map__fd(wrapper_->maps.bench_flows), sizeof(FlowRecord), max_flows).value();
    state_ = bpf::Mapped::map(bpf_map__fd(wrapper_->maps.bench_state), sizeof(bench::State), 1).value();
    empty_fd_ = bpf_program__fd(wrapper_->progs.bench_empty);
  }

  void aim(int program) {
    u32 zero = 0;
    if (bpf_map_update_elem(bpf_map__fd(wrapper_->maps.bench_target), &zero, &program, BPF_ANY) != 0)
      die("cannot aim the wrapper");
  }

  void fill(const Case& c, u32 flows) {
    std::mt19937_64 random(42);
    testing::FrameSpec spec = c.frame;
    spec.payload = 26;  // makes the IPv4 frame as long as a flow record
    for (u32 i = 0; i < flows; ++i) {
      const u64 draw = random();
      const bool v6 = spec.source.find(':') != std::string::npos;
      std::string client = v6 ? fmt::format("2001:db8:1::{:x}:{:x}", (draw >> 16) & 0xffff, draw & 0xffff)
                              : fmt::format("198.{}.{}.{}", 18 + (draw >> 16 & 1), draw >> 8 & 0xff, 1 + (draw & 0x7f));
      (c.vary_destination ? spec.destination : spec.source) = client;
      (c.vary_destination ? spec.destination_port : spec.source_port) = static_cast<u16>(1024 + (draw >> 32) % 64000);
      template_ = frame_of(c.kind, spec);
      std::memcpy(&flows_.as<FlowRecord>()[i], template_.data(), sizeof(FlowRecord));
    }
    const bool grows = c.verdict == Verdict::forwarded_ipip || c.verdict == Verdict::forwarded_gue;
    state_.as<bench::State>()[0] = {0, flows - 1, grows ? static_cast<u32>(template_.size()) : 0};
  }

  /// Brings every row into `state`, its owner as it is, and empties the flow table.
  void set_rows(RowState state) {
    for (Row& row : engine_->memory().rows)
      store_once(row, row_owner(row) == nobody ? Row{0} : make_row(state, row_owner(row), row_owner(row)));
    for (Service& record : engine_->memory().services)
      record.timeouts = timeouts_word(ticks_of_seconds(10800), ticks_of_seconds(60));
    FlowMemory& flows = engine_->flows();
    std::memset(flows.embryos.data(), 0, flows.embryos.size_bytes());
    std::memset(flows.flows.data(), 0, flows.flows.size_bytes());
  }

  /// Sends a SYN and an ACK of every flow through the core, which remembers it then.
  void remember(u32 flows) {
    std::vector<Row> rows(engine_->memory().rows.begin(), engine_->memory().rows.end());
    set_rows(RowState::moving);
    const MemoryTables tables(
        engine_->memory(), [](const Ip&, const Ip&, u32) { return Route{}; }, [] { return true; },
        MemoryFlows{.memory = engine_->flows(), .tick = present_tick});
    for (u32 i = 0; i < flows; ++i) {
      u8* const start = reinterpret_cast<u8*>(&flows_.as<FlowRecord>()[i]);
      const Frame frame{start, start + sizeof(FlowRecord)};
      if (start[12] == 0x86)
        remember(tables, *header_at<Ipv6>(frame, sizeof(Ethernet)), frame);
      else
        remember(tables, *header_at<Ipv4>(frame, sizeof(Ethernet)), frame);
    }
    std::copy(rows.begin(), rows.end(), engine_->memory().rows.begin());
  }
  static V4 net_of(const Ipv4& ip) { return {ip.source, ip.destination}; }
  static V6 net_of(const Ipv6& ip) {
    V6 net{};
    std::copy(std::begin(ip.source), std::end(ip.source), net.source);
    std::copy(std::begin(ip.destination), std::end(ip.destination), net.destination);
    return net;
  }
  template <class Header>
  void remember(const MemoryTables& tables, const Header& ip, const Frame& frame) {
    const auto* tcp = header_at<Tcp>(frame, sizeof(Ethernet) + sizeof(Header));
    const auto net = net_of(ip);
    const u8 protocol = static_cast<u8>(Protocol::tcp);
    const u32 ports = u32{tcp->source.raw} | u32{tcp->destination.raw} << 16;
    const Globals& globals = *engine_->memory().globals;
    const u32 id = find_service(tables, globals, net.destination, protocol, tcp->destination);
    const Service& record = *tables.service(id);
    const Pick p = pick(tables, globals, record, net, ports, protocol);
    for (const u8 flags : {tcp_syn, tcp_ack})
      static_cast<void>(tables.recall(flow_query(p, record, id, net, ports, protocol, flags)));
  }

  // A benchmark of the wrong path is worse than none: the verdict's counter must move, and the action be the one
  // expected.
  void check(const Case& c) {
    aim(engine_->program_fd());
    const u64 before = engine_->counting().verdicts()[static_cast<u32>(c.verdict)].packets;
    const auto result = testing::run(bpf_program__fd(wrapper_->progs.bench_restore), template_, ifindex_, 1000);
    const u64 after = engine_->counting().verdicts()[static_cast<u32>(c.verdict)].packets;
    if (result.error != 0 || result.action != c.expected_action || after - before != 1000) {
      const auto all = engine_->counting().verdicts();
      for (u32 v = 0; v < verdict_count; ++v)
        if (all[v].packets != 0) fmt::print(stderr, "bench: {} {}\n", verdict_table[v].name, all[v].packets);
      die(fmt::format("{}: error {}, action {}, {} of 1000 packets with verdict {}", c.name, result.error,
                      result.action, after - before, verdict_table[static_cast<u32>(c.verdict)].name));
    }
  }

  double measure(int program, int repeat) {
    aim(program);
    const double start = thread_seconds();
    const auto result = testing::run(bpf_program__fd(wrapper_->progs.bench_restore), template_, ifindex_, repeat);
    if (result.error != 0) die(fmt::format("test run failed: {}", result.error));
    return (thread_seconds() - start) * 1e9 / repeat;
  }

  u32 ifindex_;
  std::unique_ptr<bpf::Engine> engine_;
  std::unique_ptr<table::Publisher> publisher_;
  restore_skeleton* wrapper_ = nullptr;
  bpf::Mapped flows_, state_;
  int empty_fd_ = -1;
  testing::Bytes template_;
};

}  // namespace

int main(int argc, char** argv) {
  const u32 ifindex = if_nametoindex(argc > 1 ? argv[1] : "lo");
  const int pairs = argc > 2 ? std::atoi(argv[2]) : 15;
  const int repeat = argc > 3 ? std::atoi(argv[3]) : 1000000;
  const std::string only = argc > 4 ? argv[4] : "";
  if (ifindex == 0 || pairs < 1 || repeat < 1) die("usage: bench [INTERFACE [PAIRS [REPEAT [PART-OF-A-PATH-NAME]]]]");
  cpu_set_t cpu;
  CPU_ZERO(&cpu);
  CPU_SET(1 % static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))), &cpu);
  sched_setaffinity(0, sizeof cpu, &cpu);

  constexpr u32 pass = XDP_PASS;
  constexpr u32 tx = XDP_TX;
  constexpr u32 drop = XDP_DROP;
  const Case cases[] = {
      {"nat ipv4", {.destination = "203.0.113.10"}, tx, Verdict::forwarded_nat},
      {"nat ipv6", {.source = "2001:db8:1::1", .destination = "2001:db8:f::10"}, tx, Verdict::forwarded_nat},
      {"nat ipv4 answer", {.source = "198.51.100.1", .source_port = 8080}, tx, Verdict::returned_nat, true},
      {"l2dsr ipv4", {.destination = "203.0.113.20"}, tx, Verdict::forwarded_l2dsr},
      {"l2dsr ipv6", {.source = "2001:db8:1::1", .destination = "2001:db8:f::20"}, tx, Verdict::forwarded_l2dsr},
      {"ipip ipv4", {.destination = "203.0.113.60"}, tx, Verdict::forwarded_ipip},
      {"ipip ipv6", {.source = "2001:db8:1::1", .destination = "2001:db8:f::60"}, tx, Verdict::forwarded_ipip},
      {"gue ipv4", {.destination = "203.0.113.70"}, tx, Verdict::forwarded_gue},
      {"gue ipv6", {.source = "2001:db8:1::1", .destination = "2001:db8:f::70"}, tx, Verdict::forwarded_gue},
      {"nat ipv4 moving",
       {.destination = "203.0.113.10"},
       tx,
       Verdict::forwarded_nat,
       false,
       Content::packet,
       RowState::moving},
      {"nat ipv4 pinned",
       {.destination = "203.0.113.10"},
       tx,
       Verdict::forwarded_nat,
       false,
       Content::packet,
       RowState::pinned},
      {"nat ipv4 pinned, new",
       {.destination = "203.0.113.10"},
       tx,
       Verdict::forwarded_nat,
       false,
       Content::packet,
       RowState::pinned,
       false},
      {"nat ipv6 moving",
       {.source = "2001:db8:1::1", .destination = "2001:db8:f::10"},
       tx,
       Verdict::forwarded_nat,
       false,
       Content::packet,
       RowState::moving},
      {"nat ipv6 pinned",
       {.source = "2001:db8:1::1", .destination = "2001:db8:f::10"},
       tx,
       Verdict::forwarded_nat,
       false,
       Content::packet,
       RowState::pinned},
      {"ICMP error ipv4", {.destination = "203.0.113.10"}, tx, Verdict::forwarded_icmp, false, Content::error},
      {"not a VIP ipv4", {.destination = "192.0.2.99"}, pass, Verdict::not_ours},
      {"not a VIP ipv6", {.source = "2001:db8:1::1", .destination = "2001:db8::99"}, pass, Verdict::not_ours},
      {"malformed ipv4", {.destination = "203.0.113.10"}, drop, Verdict::bad_ip_header, false, Content::malformed},
  };
  Bench bench(ifindex);
  fmt::print("an empty program by itself: {:.1f} ns per packet\n", bench.bare(pairs, repeat));
  fmt::print("{:<22} {:>8} {:>9} {:>9} {:>9}   [min .. max of net], ns per packet, median of {} pairs of {}\n", "path",
             "flows", "empty", "loaded", "net", pairs, repeat);
  for (const Case& c : cases)
    if (std::string(c.name).find(only) != std::string::npos)
      for (const u32 flows : {1U, 1U << 10, 1U << 16, 1U << 20}) bench.report(c, flows, pairs, repeat);
  return 0;
}
