// SPDX-License-Identifier: Apache-2.0
// What can be said about a host before anything on it is changed, and the removal of a fast path without a daemon.
#pragma once

#include <boost/asio/io_context.hpp>
#include <string>

#include "control/daemon/desired.hpp"
#include "control/model/plan.hpp"

namespace weir::daemon {

/// Privileges, BPF file system and kernel features.
Result<> may_run(const std::string& pin_dir);

/// Conflict when another daemon answers on `socket`.
Result<> nobody_serves(const std::string& socket);

/// `lbd --check`: interfaces exist, every backend of `plan` has a route and a neighbour that answers.
Result<> check_host(boost::asio::io_context& loop, const model::Settings& settings, const Desired& desired,
                    const model::Plan& plan);

/// `lbd --detach`, refused while a daemon holds the pins: program, links, maps, pins and the neighbour entries that
/// Weir caused.
Result<> detach_without_daemon(const std::string& pin_dir);

}  // namespace weir::daemon
