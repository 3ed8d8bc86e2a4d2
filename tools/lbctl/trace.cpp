// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "tools/lbctl/verbs.hpp"

namespace weir::lbctl {

namespace {

using nlohmann::json;

struct Options {
  std::string protocol, source, destination;
  bool syn = false;
  Form form;
};

std::string trace_text(const json& trace) {
  std::string out;
  for (const json& line : trace.value("lines", json::array())) out += line.get<std::string>() + '\n';
  out += fmt::format("result: {} ({})", cell(trace, "verdict"), cell(trace, "action"));
  if (const std::string backend = cell(trace, "backend"); !backend.empty())
    out += fmt::format(", {}/{} at {} through {} to {}", cell(trace, "service"), backend, cell(trace, "address"),
                       cell(trace, "egress"), cell(trace, "next_hop_mac"));
  return out + '\n';
}

}  // namespace

void add_trace_verb(CLI::App& app, Action& action) {
  const auto o = std::make_shared<Options>();
  CLI::App* trace = add_verb(app, "trace", "Which backend a packet would reach, and why; sends nothing",
                             "lbctl trace tcp 192.0.2.1:40000 203.0.113.10:80 --syn");
  trace->add_option("PROTOCOL", o->protocol, "tcp or udp")->required();
  trace->add_option("SOURCE:PORT", o->source, "The client's address and port")->required();
  trace->add_option("DESTINATION:PORT", o->destination, "The VIP's address and port")->required();
  trace->add_flag("--syn", o->syn, "The packet opens a TCP connection");
  add_output(*trace, o->form);
  trace->callback([o, &action] {
    action = [o](const Client& lbd) {
      return lbd
          .get("/v1/trace" + query({{"protocol", o->protocol},
                                    {"source", o->source},
                                    {"destination", o->destination},
                                    {"syn", o->syn ? "true" : ""}}))
          .map([&](const json& t) { return o->form.json() ? pretty(t) : trace_text(t); });
    };
  });
}

}  // namespace weir::lbctl
