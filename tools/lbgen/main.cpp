// SPDX-License-Identifier: Apache-2.0
// lbgen: SYN floods and flows for a test network, at an exact rate or as fast as a core goes, and a count of what
// arrives.
#include <sys/random.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "control/model/text.hpp"
#include "tools/lbgen/count.hpp"
#include "tools/lbgen/interface.hpp"
#include "tools/lbgen/plan.hpp"
#include "tools/lbgen/report.hpp"
#include "tools/lbgen/send.hpp"
#include "tools/lbgen/stop.hpp"
#include "tools/lbgen/words.hpp"

namespace {

using namespace weir;
using namespace weir::lbgen;

constexpr int failed = 1, usage = 2, refused = 5, signalled = 128;
// Bounds where none is named: a time, and with a number of packets a longer one.
constexpr double seconds_alone = 10, seconds_with_packets = 3600;

struct Options {
  std::string interface;
  std::string to, from, mac;
  std::string flows, rate, seconds, packets, idle;
  std::string order = "random";
  std::string output = "table";
  std::optional<u32> payload, size;
  std::optional<u64> seed;
  u32 udp = 0, cpus = 1;
  u32 first_port = 1024;
  bool drop = false;
};

/// What is printed on standard output, and the exit code.
struct Done {
  std::string text;
  int code = 0;
};

void say(const std::string& line) { fmt::print(stderr, "lbgen: {}\n", line); }

int complain(int code, const std::string& why) {
  say(why);
  return code;
}

/// `text` by `parse`, with the option in front of what is wrong with it; nothing when the option was not given.
template <class T>
Result<> read(const char* option, const std::string& text, Result<T> (*parse)(const std::string&),
              std::optional<T>& into) {
  if (text.empty()) return {};
  auto value = parse(text);
  if (!value) return fail(value.error().fault, "{} {}", option, value.error().message);
  into = *value;
  return {};
}

Result<Order> order_from(const Options& options) {
  Order order{.udp = options.udp,
              .random = options.order == "random",
              .payload = options.payload,
              .size = options.size,
              .first_port = static_cast<u16>(options.first_port)};
  auto to = model::parse_endpoint(options.to);
  if (!to) return fail(Fault::invalid, "--to {}", to.error().message);
  order.to = *to;
  const char* tests = is_v4(to->address) ? "198.18.0.0/15" : "2001:db8:5a::/48";
  auto from = model::parse_prefix(options.from.empty() ? tests : options.from);
  if (!from) return fail(Fault::invalid, "--from {}", from.error().message);
  order.from = *from;
  if (auto good = read("--flows", options.flows, parse_count, order.flows); !good) return tl::unexpected(good.error());
  if (options.seed) {
    order.seed = *options.seed;
  } else if (getrandom(&order.seed, sizeof order.seed, 0) != sizeof order.seed) {
    return fail(Fault::internal, "the kernel gives no random seed; name one with --seed");
  }
  return order;
}

/// What ends sending and counting alike.
template <class AnyBounds>
Result<> read_end(const Options& options, AnyBounds& bounds) {
  std::optional<double> seconds;
  if (auto good = read("--packets", options.packets, parse_count, bounds.packets); !good) return good;
  if (auto good = read("--seconds", options.seconds, parse_seconds, seconds); !good) return good;
  bounds.seconds = seconds.value_or(bounds.packets ? seconds_with_packets : seconds_alone);
  return {};
}

Result<Bounds> bounds_from(const Options& options) {
  Bounds bounds;
  if (auto good = read_end(options, bounds); !good) return tl::unexpected(good.error());
  if (auto good = read("--rate", options.rate, parse_count, bounds.rate); !good) return tl::unexpected(good.error());
  return bounds;
}

/// Frames that the interface has counted since `before`. The last ones may still be on their way.
u64 wait_for_frames(net::NetlinkSocket& socket, int ifindex, u64 before, u64 sent) {
  constexpr int tries = 20;
  u64 left = 0;
  for (int i = 0; i < tries; ++i) {
    left = std::max(frames_left(socket, ifindex), before) - before;  // an interface that has gone counts nothing
    if (left >= sent) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return left;
}

/// What the counts say about the run; an error when nothing can have arrived.
Result<> judge(const SendReport& report, const Interface& interface, const Bounds& bounds) {
  const u64 sent = report.sent.all();
  // The neighbours' own frames are among those counted.
  if (interface.kind == "veth" && report.left < sent / 10)
    return fail(
        Fault::internal,
        "{} has sent {} of {} frames: the other end of a veth takes them only with an XDP program (lbgen count) "
        "or GRO (ethtool -K PEER gro on)",
        report.interface, report.left, sent);
  if (report.left == 0 && sent != 0) {
    say(fmt::format("{} counts none of {} frames as sent; count them at the receiver (lbgen count)", report.interface,
                    sent));
  } else if (report.left < sent) {
    say(fmt::format("{} has counted {} of {} frames: the others found no room in its ring, or the receiver's",
                    report.interface, report.left, sent));
  }
  constexpr double tolerated = 0.98;
  const double reached = static_cast<double>(sent) / std::max(report.sent.seconds, 1e-9);
  if (bounds.rate && report.sent.ended == Ended::seconds && reached < tolerated * static_cast<double>(*bounds.rate))
    say(fmt::format("{:.0f} packets/s, not {}: more --cpus, or a lower --rate", reached, *bounds.rate));
  return {};
}

Result<Done> send_verb(const Options& options) {
  auto order = order_from(options);
  if (!order) return tl::unexpected(order.error());
  const auto bounds = bounds_from(options);
  if (!bounds) return tl::unexpected(bounds.error());
  std::optional<MacBits> mac;
  if (auto good = read("--mac", options.mac, parse_mac, mac); !good) return tl::unexpected(good.error());
  if (auto checked = plan(*order); !checked) return tl::unexpected(checked.error());  // before the kernel is asked
  if (options.cpus > order->flows.value_or(options.cpus))
    return fail(Fault::invalid, "--cpus {}: each takes flows of its own, and there are {}", options.cpus,
                *order->flows);

  auto socket = net::NetlinkSocket::open();
  if (!socket) return tl::unexpected(socket.error());
  const auto interface = find_interface(*socket, options.interface);
  if (!interface) return tl::unexpected(interface.error());
  if (auto good = refuse_default_route(*socket, *interface); !good) return tl::unexpected(good.error());
  if (!mac) {
    const auto found = look_up_mac(*socket, *interface, order->to.address);
    if (!found) return tl::unexpected(found.error());
    mac = *found;
  }
  order->destination_mac = *mac;
  order->source_mac = interface->link.mac;
  const auto made = plan(*order);
  if (!made) return tl::unexpected(made.error());
  constexpr u32 ethernet = 14;
  if (made->plan.frame_length > interface->link.mtu + ethernet)
    return fail(Fault::invalid, "a frame of {} bytes is too long for {}, which takes {}", made->plan.frame_length,
                options.interface, interface->link.mtu + ethernet);

  say(fmt::format("seed {}", order->seed));
  heed_signals();
  const u64 before = frames_left(*socket, interface->link.ifindex);
  const auto sent = send(*made, *bounds, static_cast<u32>(interface->link.ifindex), options.cpus);
  if (!sent) return tl::unexpected(sent.error());
  const u64 left = wait_for_frames(*socket, interface->link.ifindex, before, sent->all());
  const SendReport report{options.interface, *order, options.cpus, *made, *sent, left};
  const auto good = judge(report, *interface, *bounds);
  Done done{options.output == "json" ? as_json(report) : as_text(report), 0};
  if (!good) done.code = complain(failed, good.error().message);
  if (sent->ended == Ended::signal) done.code = signalled + stopped_by();
  return done;
}

Result<Done> count_verb(const Options& options) {
  CountBounds bounds;
  if (auto good = read_end(options, bounds); !good) return tl::unexpected(good.error());
  if (auto good = read("--idle", options.idle, parse_seconds, bounds.idle); !good) return tl::unexpected(good.error());

  auto socket = net::NetlinkSocket::open();
  if (!socket) return tl::unexpected(socket.error());
  const auto interface = find_interface(*socket, options.interface);
  if (!interface) return tl::unexpected(interface.error());
  if (options.drop)
    if (auto good = refuse_default_route(*socket, *interface); !good) return tl::unexpected(good.error());
  heed_signals();
  const auto received = count(options.interface, static_cast<u32>(interface->link.ifindex), bounds, options.drop,
                              [&] { say("counting on " + options.interface); });
  if (!received) return tl::unexpected(received.error());
  if (!received->native) say(options.interface + " has no native XDP: counted in generic mode, several times slower");
  return Done{options.output == "json" ? as_json(options.interface, *received) : as_text(options.interface, *received),
              received->ended == Ended::signal ? signalled + stopped_by() : 0};
}

void declare(CLI::App& app, Options& options) {
  const auto shared = [&](CLI::App* verb) {
    verb->add_option("INTERFACE", options.interface)->required();
    verb->add_option("--seconds", options.seconds, "End after this time (default: 10; with --packets 3600)");
    verb->add_option("-o,--output", options.output)->check(CLI::IsMember({"table", "json"}))->capture_default_str();
  };
  auto* send = app.add_subcommand("send", "Send generated packets out of an interface");
  shared(send);
  send->add_option("--to", options.to, "Destination, ADDRESS:PORT or [ADDRESS]:PORT")->required();
  send->add_option("--from", options.from, "Prefix of the sources (default: 198.18.0.0/15, 2001:db8:5a::/48)");
  send->add_option("--flows", options.flows,
                   "Flows: a SYN of each, then an ACK of each, then data with --payload; "
                   "without it each packet is a flow of its own: a SYN flood");
  send->add_option("--udp", options.udp, "Percent of the flows that are UDP")
      ->check(CLI::Range(0U, 100U))
      ->capture_default_str();
  send->add_option("--payload", options.payload,
                   "Bytes behind the TCP or UDP header; of flows the SYN and the first "
                   "ACK carry none");
  send->add_option("--size", options.size, "The same by the length of the frame, checksum not counted");
  send->add_option("--order", options.order, "Sources in an order that the seed makes, or one after the other")
      ->check(CLI::IsMember({"random", "sequential"}))
      ->capture_default_str();
  send->add_option("--first-port", options.first_port, "Sources use 32768 ports from here on")
      ->check(CLI::Range(1U, 65535U))
      ->capture_default_str();
  send->add_option("--rate", options.rate, "Packets per second, for example 100k (default: as fast as possible)");
  send->add_option("--packets", options.packets, "End after so many packets");
  send->add_option("--mac", options.mac, "Destination MAC (default: by route and neighbour of the destination)");
  send->add_option("--seed", options.seed, "Replays a run: the same frames in the same order");
  send->add_option("--cpus", options.cpus, "CPUs that send, each its own flows")
      ->check(CLI::Range(1U, 64U))
      ->capture_default_str();
  auto* count = app.add_subcommand("count", "Count what arrives on an interface, by protocol, flags and port");
  shared(count);
  count->add_option("--packets", options.packets, "End when so many have arrived");
  count->add_option("--idle", options.idle, "End when none has come for so many seconds after the last one");
  count->add_flag("--drop", options.drop, "Counted TCP and UDP packets go no farther (default: to the kernel)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Generates packets in a test network, and counts them.", "lbgen");
  app.require_subcommand(1);
  app.set_version_flag("--version", "lbgen " WEIR_VERSION);
  app.footer(
      "Exit codes: 0 a bound was reached, 1 failed, 2 usage, 5 refused by a safety rule, 130 and 143 ended by\n"
      "SIGINT and SIGTERM.\n"
      "Examples:\n"
      "  lbgen send c0 --to 203.0.113.10:80 --rate 100k --seconds 5\n"
      "  lbgen send c0 --to 203.0.113.10:80 --flows 10k --payload 512 --packets 1M\n"
      "  lbgen count b0 --drop --idle 1\n");
  declare(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    return complain(usage, fmt::format("{} (see lbgen --help)", error.what()));
  }
  if (geteuid() != 0) return complain(failed, "BPF programs take root: sudo lbgen ...");
  const auto done = app.got_subcommand("send") ? send_verb(options) : count_verb(options);
  if (!done) return complain(done.error().fault == Fault::refused ? refused : failed, done.error().message);
  const bool written = std::fputs(done->text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? done->code : complain(failed, "standard output cannot be written");
}
