#include "data/kept_files.h"

#include <gtest/gtest.h>

#include <thread>

namespace headstart {
namespace {

std::vector<std::byte> file(std::size_t bytes, int fill) { return std::vector<std::byte>(bytes, static_cast<std::byte>(fill)); }

TEST(KeptFiles, FilesAreKeptWhileTheyFit) {
  KeptFiles kept(4, 100);
  EXPECT_EQ(kept.find(0), nullptr);
  ASSERT_NE(kept.keep(0, file(60, 1)), nullptr);
  EXPECT_EQ(kept.keep(1, file(41, 2)), nullptr);
  ASSERT_NE(kept.keep(2, file(40, 3)), nullptr);
  EXPECT_EQ(kept.keep(3, file(1, 4)), nullptr);
  EXPECT_EQ(kept.find(0)->bytes, file(60, 1));
  EXPECT_EQ(kept.find(1), nullptr);
  EXPECT_EQ(kept.find(2)->bytes, file(40, 3));
}

TEST(KeptFiles, AFileIsKeptAndCountedOnce) {
  KeptFiles kept(2, 100);
  KeptFiles::Photo* first = kept.keep(0, file(50, 1));
  EXPECT_EQ(kept.keep(0, file(50, 1)), first);
  EXPECT_NE(kept.keep(1, file(50, 2)), nullptr);
}

TEST(KeptFiles, CoefficientsAreKeptWhileTheyFit) {
  KeptFiles kept(2, 1000);
  KeptFiles::Photo& first = *kept.keep(0, file(100, 1));
  EXPECT_TRUE(first.index.keep_coefficients);
  ASSERT_TRUE(kept.take_index(first));
  EXPECT_FALSE(kept.take_index(first));
  first.index.coefficients.resize(300);  // 600 bytes
  kept.give_back_index(first);
  ASSERT_TRUE(kept.take_index(first));
  EXPECT_EQ(first.index.coefficients.size(), 300U);
  kept.give_back_index(first);  // and are counted once
  KeptFiles::Photo* second = kept.keep(1, file(250, 2));
  ASSERT_NE(second, nullptr);
  ASSERT_TRUE(kept.take_index(*second));
  second->index.coefficients.resize(30);
  kept.give_back_index(*second);
  EXPECT_EQ(second->index.coefficient_bytes(), 0U);  // 50 bytes are left
}

TEST(KeptFiles, NothingIsKeptWithoutRoom) {
  KeptFiles kept(2, 0);
  EXPECT_EQ(kept.keep(1, file(1, 1)), nullptr);
  EXPECT_EQ(kept.find(1), nullptr);
}

TEST(KeptFiles, ThreadsAgreeOnWhatIsKept) {
  constexpr std::uint32_t kSamples = 200;
  KeptFiles kept(kSamples, 100 * 100);
  std::vector<std::vector<KeptFiles::Photo*>> seen(4, std::vector<KeptFiles::Photo*>(kSamples));
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&kept, &mine] {
      for (std::uint32_t sample = 0; sample < kSamples; ++sample) mine[sample] = kept.keep(sample, file(100, static_cast<int>(sample)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::size_t bytes = 0;
  for (std::uint32_t sample = 0; sample < kSamples; ++sample) {
    KeptFiles::Photo* photo = kept.find(sample);
    for (const auto& mine : seen) EXPECT_TRUE(mine[sample] == nullptr || mine[sample] == photo);
    if (photo == nullptr) continue;
    EXPECT_EQ(photo->bytes, file(100, static_cast<int>(sample)));
    bytes += photo->bytes.size();
  }
  EXPECT_LE(bytes, 100U * 100U);
}

}  // namespace
}  // namespace headstart
