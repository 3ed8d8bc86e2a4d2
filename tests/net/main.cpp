// SPDX-License-Identifier: Apache-2.0
#define CATCH_CONFIG_RUNNER
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

int main(int argc, char** argv) {
  if (geteuid() != 0) {
    std::fputs("net_test: SKIPPED: needs root to make network namespaces; run it with sudo\n", stderr);
    return 77;
  }
  return Catch::Session().run(argc, argv);
}
