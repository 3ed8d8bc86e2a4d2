// SPDX-License-Identifier: Apache-2.0
// The packets of the differential test: every boundary that the core knows of, and random ones around them. They are
// for the tables of tests/support/world.hpp.
#pragma once

#include <random>
#include <vector>

#include "tests/support/frames.hpp"

namespace weir::testing {

using Random = std::mt19937_64;

/// Frames of all families, modes and directions that the tables know, well-formed: flows, answers, control messages,
/// fragments, and packets that are too long.
std::vector<Bytes> sound_frames();

/// Each of `sound_frames`, cut at every length and with every header length, version, total length near the true one,
/// TTL, fragment field, data offset, VLAN depth, control message, quoted header, option and extension-header chain.
std::vector<Bytes> boundary_frames();

/// A sound frame with random endpoints, of which a few bytes are changed, cut or appended.
Bytes random_frame(Random& random);

/// An ICMP error about the packet of `about`, of which `most` bytes are quoted, from a router to the packet's source.
Bytes error_about(const FrameSpec& about, u8 type, u8 code, std::size_t most, const std::vector<u16>& vlans = {});

/// `count` extension headers of the given types in turn, the last one leading to `last`.
Bytes chain(u32 count, const std::vector<u8>& types, u8 last, u8 length = 0);

}  // namespace weir::testing
