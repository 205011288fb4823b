#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace headstart {
namespace {

TEST(ThreadPool, RunsEveryTaskWhateverTheNumberOfThreads) {
  for (const int threads : {0, 1, 4}) {
    std::atomic<int> sum{0};
    {
      ThreadPool pool(threads);
      for (int i = 1; i <= 100; ++i) pool.submit([&sum, i] { sum += i; });
    }
    EXPECT_EQ(sum, 5050);
  }
}

TEST(ThreadPool, ZeroThreadsRunOnTheCaller) {
  ThreadPool pool(0);
  std::thread::id ran_on;
  pool.submit([&] { ran_on = std::this_thread::get_id(); });
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(ThreadPool, AnExceptionReachesTheFuture) {
  for (const int threads : {0, 2}) {
    ThreadPool pool(threads);
    auto failing = pool.submit([] { throw std::runtime_error("no"); });
    EXPECT_THROW(failing.get(), std::runtime_error);
    pool.submit([] {}).get();
  }
}

TEST(AvailableCores, IsPositiveAndAnExplicitNumberWins) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_EQ(resolve_threads(3), 3);
  EXPECT_EQ(resolve_threads(0), available_cores());
}

}  // namespace
}  // namespace headstart
