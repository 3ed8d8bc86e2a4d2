// SPDX-License-Identifier: Apache-2.0
#include "control/table/ports.hpp"

#include <algorithm>

namespace weir::table {

void enter_port(TableMemory& memory, u32 ifindex, MacBits mac) {
  Port& port = memory.ports[port_index(ifindex)];
  store_once(port.mac, mac);
  store_once(port.ifindex, ifindex);
}

void leave_port(TableMemory& memory, u32 ifindex) {
  Port& port = memory.ports[port_index(ifindex)];
  if (port.ifindex == ifindex) store_once(port.ifindex, 0U);
}

std::vector<u32> stale_ports(const TableMemory& memory, const std::vector<u32>& wanted) {
  std::vector<u32> stale;
  for (const Port& port : memory.ports)
    if (port.ifindex != 0 && std::find(wanted.begin(), wanted.end(), port.ifindex) == wanted.end())
      stale.push_back(port.ifindex);
  return stale;
}

}  // namespace weir::table
