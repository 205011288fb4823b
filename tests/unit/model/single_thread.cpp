// One engine thread a test program: tests run in parallel, and OpenMP teams that compete for the same cores are many times slower.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace {

class SingleThread : public ::testing::Environment {
 public:
  void SetUp() override { at::set_num_threads(1); }
};

[[maybe_unused]] const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new SingleThread);

}  // namespace
