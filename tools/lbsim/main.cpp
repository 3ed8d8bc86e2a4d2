// SPDX-License-Identifier: Apache-2.0
// lbsim: the fast path without a NIC. Frames in, verdicts and frames out.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "control/config/config.hpp"
#include "tools/lbsim/frames.hpp"
#include "tools/lbsim/report.hpp"

namespace {

using namespace weir;
using namespace weir::lbsim;

struct Options {
  std::string config;
  std::string world;
  std::string in;
  std::string out;
  std::string interface;
  std::string engine = "native";
  bool hex = false;
  bool json = false;
  bool fill_headroom = false;
};

constexpr const char* footer =
    "Without --world, lbsim invents one: the configuration's interfaces with MTU 1500; every backend and a default\n"
    "gateway on the first of them. That interface has the MAC that the first frame is sent to, the gateway has\n"
    "02:00:00:00:00:fe, a backend 02:00 and the last four bytes of its address.\n"
    "A configuration without a seed is run with a seed of zeroes; flows then meet other backends than on the host.\n"
    "Exit codes: 0 done, 1 failed, 2 usage. The world's format, and more: tools/README.md\n"
    "Example:\n  lbsim --config lb.toml --in x.pcap --out y.pcap\n";

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(Fault::invalid, "{}: cannot be read: {}", path, std::strerror(errno));
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return fail(Fault::invalid, "{}: cannot be read to its end", path);
  return text;
}

MacBits destination_mac(const std::vector<u8>& frame) {
  MacBits mac = 0;
  for (u32 i = 0; i < 6; ++i) mac |= u64{frame[i]} << (8 * i);
  return mac;
}

Result<World> world_for(const Options& options, const config::Configuration& configuration,
                        const std::optional<Arrival>& first) {
  if (options.world.empty()) {
    // A frame to a group says nothing about the interface.
    const bool telling = first && first->frame.size() >= 6 && (first->frame[0] & 1) == 0;
    return invent_world(configuration, telling ? std::optional(destination_mac(first->frame)) : std::nullopt);
  }
  auto text = read_file(options.world);
  if (!text) return tl::unexpected(text.error());
  return read_world(*text, options.world, configuration.settings);
}

Result<const Interface*> ingress_of(const World& world, const std::string& name) {
  const Interface* interface = world.named(name);
  if (!interface || !interface->attached)
    return fail(Fault::invalid, "interface \"{}\" is not among the configuration's `interfaces`", name);
  return interface;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

Result<> run(const Options& options) {
  auto text = read_file(options.config);
  if (!text) return tl::unexpected(text.error());
  const auto configuration = config::parse(*text, options.config);
  if (!configuration) return tl::unexpected(configuration.error());

  std::unique_ptr<FrameSource> source;
  if (options.hex) {
    source = read_hex(std::cin);
  } else {
    auto opened = open_capture(options.in);
    if (!opened) return tl::unexpected(opened.error());
    source = std::move(*opened);
  }
  auto arrival = source->next();
  if (!arrival) return tl::unexpected(arrival.error());

  const auto world = world_for(options, *configuration, *arrival);
  if (!world) return tl::unexpected(world.error());
  std::unique_ptr<Engine> engine;
  if (options.engine == "xdp") {
    auto made = make_xdp_engine(*world, sizes_of(*configuration), options.fill_headroom);
    if (!made) return tl::unexpected(made.error());
    engine = std::move(*made);
  } else {
    engine = make_native_engine(*world, sizes_of(*configuration));
  }
  auto simulation = Simulation::open(*configuration, *world, std::move(engine));
  if (!simulation) return tl::unexpected(simulation.error());
  std::unique_ptr<CaptureWriter> sink;
  if (!options.out.empty()) {
    auto created = CaptureWriter::create(options.out);
    if (!created) return tl::unexpected(created.error());
    sink = std::move(*created);
  }

  const Report report(**simulation, options.json);
  const std::string usual = options.interface.empty() ? configuration->settings.interfaces[0] : options.interface;
  Engine& runner = (*simulation)->engine();
  for (u64 number = 1; *arrival;) {
    const Arrival& got = **arrival;
    if (got.restore || got.wait) {
      got.restore ? (*simulation)->restore() : (*simulation)->wait(*got.wait);
      arrival = source->next();
      if (!arrival) return tl::unexpected(arrival.error());
      continue;
    }
    const auto ingress = ingress_of(*world, got.interface.empty() ? usual : got.interface);
    if (!ingress) return tl::unexpected(ingress.error());
    const Totals before = runner.totals();
    const auto fate = runner.run(got.frame, (*ingress)->ifindex);
    if (!fate) return fail(fate.error().fault, "packet {}: {}", number, fate.error().message);
    print(report.passage({number, **ingress, *fate, before}));
    ++number;
    if (sink && fate->egress != 0) sink->write(fate->frame, got.time);
    arrival = source->next();
    if (!arrival) return tl::unexpected(arrival.error());
  }
  print(report.totals());
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    return fail(Fault::internal, "standard output cannot be written");
  if (sink) return sink->close();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("The fast path of the Weir load balancer without a NIC: frames in, verdicts and frames out.", "lbsim");
  app.set_version_flag("--version", "lbsim " WEIR_VERSION);
  app.add_option("--config", options.config, "Configuration as lbd reads it")->required()->type_name("FILE");
  app.add_option("--world", options.world, "Interfaces, neighbours and routes")->type_name("FILE");
  auto* in = app.add_option("--in", options.in, "Frames: pcap or pcapng, Ethernet; - is standard input");
  in->type_name("FILE");
  auto* out = app.add_option("--out", options.out, "Where to write the frames that are sent, as pcap");
  out->type_name("FILE");
  auto* hex = app.add_flag("--hex", options.hex, "Frames on standard input, a line each: [INTERFACE] HEX");
  in->excludes(hex);
  app.add_option("--interface", options.interface, "Where frames come in that do not say (the configuration's first)")
      ->type_name("NAME");
  app.add_option("--engine", options.engine,
                 "native: the core compiled for this host; xdp: the BPF program in the kernel, as root")
      ->check(CLI::IsMember({"native", "xdp"}))
      ->capture_default_str();
  app.add_flag("--json", options.json, "One JSON document per frame, and one with the counters");
  app.add_flag("--fill-headroom", options.fill_headroom, "xdp: put a pattern before the frame; native always does");
  app.footer(footer);
  try {
    app.parse(argc, argv);
    if (options.in.empty() && !options.hex) throw CLI::RequiredError("--in FILE or --hex");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(error);
    fmt::print(stderr, "lbsim: {} (see lbsim --help)\n", error.what());
    return 2;
  }
  if (const auto done = run(options); !done) {
    std::fflush(stdout);
    fmt::print(stderr, "lbsim: {}\n", done.error().message);
    return 1;
  }
  return 0;
}
