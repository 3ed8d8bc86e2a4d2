// SPDX-License-Identifier: Apache-2.0
// Catch2's main(); compiled once, apart from the tests, because it takes longer than all of them.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
