// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The one place where a packet pointer is compared with the end of the packet.
#pragma once

#include "dataplane/core/types.hpp"

namespace weir {

/// A received frame that lies in one piece. Engines may bring a view of their own with the same members: `end` bounds
/// what can be read directly, a driver may keep the rest of a long frame elsewhere, so `length()` gives the length of
/// the whole frame in bytes and is asked only when the readable part is too short. `forget()` returns its argument; an
/// engine whose loader proves the program path by path uses it to drop what it knows of an offset, so that the rest is
/// proved once for all offsets. The caller bounds the offset again.
struct Frame {
  u8* begin;
  u8* end;
  LB_INLINE u32 length() const { return static_cast<u32>(end - begin); }
  LB_INLINE u32 forget(u32 offset) const { return offset; }
};

/// The header of type `Header` that starts `offset` bytes into the frame, or null when it does not fit.
template <class Header, class F>
LB_INLINE Header* header_at(const F& frame, u32 offset) {
  u8* const start = frame.begin + offset;
  return start + sizeof(Header) > frame.end ? nullptr : reinterpret_cast<Header*>(start);
}

}  // namespace weir
