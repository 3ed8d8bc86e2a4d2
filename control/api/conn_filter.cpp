// SPDX-License-Identifier: Apache-2.0
#include "control/api/conn_filter.hpp"

#include "control/api/answer.hpp"
#include "control/model/text.hpp"

namespace weir::api {
namespace {

Result<> read_names(const Target& target, ConnFilter& filter) {
  if (const std::string* service = target.find("service")) {
    if (const std::string fault = model::name_fault(*service); !fault.empty())
      return fail(Fault::invalid, "service {} {}", in_quotes(*service), fault);
    filter.service = *service;
  }
  const std::string* both = target.find("backend");
  if (both == nullptr) return {};
  const std::size_t slash = both->find('/');
  const std::string service = both->substr(0, slash);
  const std::string backend = slash == std::string::npos ? "" : both->substr(slash + 1);
  if (!model::name_fault(service).empty() || !model::name_fault(backend).empty())
    return fail(Fault::invalid, "backend {} does not name a backend; write SERVICE/NAME, for example web/b1",
                in_quotes(*both));
  if (!filter.service.empty() && filter.service != service)
    return fail(Fault::invalid, "backend {} is not of service {}; name one of the two", in_quotes(*both),
                in_quotes(filter.service));
  filter.service = service;
  filter.backend = backend;
  return {};
}

Result<> read_source(const std::string& text, ConnFilter& filter) {
  // "2001:db8::1" is an address; "192.0.2.1:80" and "[2001:db8::1]:80" have a port.
  if (const auto ip = model::parse_ip(text)) {
    filter.source = *ip;
    return {};
  }
  const auto endpoint = model::parse_endpoint(text);
  if (!endpoint && text.find_first_of(":]") == std::string::npos)
    return fail(Fault::invalid, "source: \"{}\" is no address; write ADDRESS or ADDRESS:PORT", text);
  if (!endpoint) return tl::unexpected(about("source", endpoint.error()));
  filter.source = endpoint->address;
  if (endpoint->port != 0) filter.source_port = endpoint->port;
  return {};
}

}  // namespace

Result<ConnFilter> parse_conn_filter(const Target& target) {
  ConnFilter filter;
  if (auto read = read_names(target, filter); !read) return tl::unexpected(read.error());
  if (const std::string* text = target.find("protocol")) {
    const auto protocol = model::parse_protocol(*text);
    if (!protocol) return tl::unexpected(about("protocol", protocol.error()));
    filter.protocol = *protocol;
  }
  if (const std::string* text = target.find("source"))
    if (auto read = read_source(*text, filter); !read) return tl::unexpected(read.error());
  if (const std::string* text = target.find("destination")) {
    const auto endpoint = model::parse_endpoint(*text);
    if (!endpoint) return tl::unexpected(about("destination", endpoint.error()));
    filter.destination = *endpoint;
  }
  return filter;
}

}  // namespace weir::api
