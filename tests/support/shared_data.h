// Where the development photos and weights are (../shared beside the checkout), when they are there.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace headstart::test {

inline std::filesystem::path source_dir() { return HEADSTART_SOURCE_DIR; }

// $HEADSTART_SHARED, else ../shared of the checkout.
inline std::filesystem::path shared_dir() {
  if (const char* from_environment = std::getenv("HEADSTART_SHARED")) return from_environment;
  return source_dir().parent_path() / "shared";
}

}  // namespace headstart::test

// Ends the test as skipped, saying what was missing.
#define HEADSTART_SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: " << (path) << " is not there"
