// SPDX-License-Identifier: Apache-2.0
// The packets of the differential test: every boundary that the core knows of, and random ones around them.
#pragma once

#include <random>
#include <vector>

#include "tests/support/frames.hpp"

namespace weir::testing {

using Random = std::mt19937_64;

/// Frames of all families, modes and directions that the test's tables know, well-formed.
std::vector<Bytes> sound_frames();

/// Each of `sound_frames`, cut at every length and with every header length, version, total length near the true one,
/// TTL, fragment field, data offset, VLAN depth and extension-header chain.
std::vector<Bytes> boundary_frames();

/// A sound frame with random endpoints, of which a few bytes are changed, cut or appended.
Bytes random_frame(Random& random);

}  // namespace weir::testing
