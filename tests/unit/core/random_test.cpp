#include "core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace headstart {
namespace {

TEST(RandomStream, EqualsThePhiloxReferenceVectors) {
  // Known-answer tests of the Random123 distribution (kat_vectors, philox4x32 10). The stream's counter is {draw block, sample, epoch,
  // purpose}.
  RandomStream zero(0, static_cast<Purpose>(0));
  EXPECT_EQ(zero.next_u32(), 0x6627e8d5U);
  EXPECT_EQ(zero.next_u32(), 0xe169c58dU);
  EXPECT_EQ(zero.next_u32(), 0xbc57ac4cU);
  EXPECT_EQ(zero.next_u32(), 0x9b00dbd8U);
}

TEST(RandomStream, SameKeyGivesSameDraws) {
  RandomStream a(7, Purpose::kCrop, 3, 11), b(7, Purpose::kCrop, 3, 11);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next_u32(), b.next_u32());
}

TEST(RandomStream, EveryPartOfTheKeyChangesTheDraws) {
  std::set<std::uint32_t> first;
  for (const std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32}) {
    for (const Purpose purpose : {Purpose::kCrop, Purpose::kFlip}) {
      for (const std::uint32_t epoch : {0U, 1U}) {
        for (const std::uint32_t sample : {0U, 1U}) first.insert(RandomStream(seed, purpose, epoch, sample).next_u32());
      }
    }
  }
  EXPECT_EQ(first.size(), 24U);
}

TEST(RandomStream, UniformFillsTheUnitIntervalEvenly) {
  RandomStream stream(1, Purpose::kTest);
  constexpr int kDraws = 100'000;
  std::vector<int> bins(10);
  for (int i = 0; i < kDraws; ++i) {
    const double value = stream.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++bins[static_cast<std::size_t>(value * 10)];
  }
  // Five standard deviations of a binomial count, sqrt(n p (1 - p)) = 95.
  for (const int count : bins) EXPECT_LE(std::abs(count - kDraws / 10), 475);
}

TEST(RandomStream, BelowIsUnbiasedAndInRange) {
  RandomStream stream(2, Purpose::kTest);
  std::vector<int> counts(3);
  for (int i = 0; i < 30'000; ++i) ++counts[stream.below(3)];
  for (const int count : counts) EXPECT_LE(std::abs(count - 10'000), 410);  // five standard deviations
  for (int i = 0; i < 100; ++i) EXPECT_EQ(stream.below(1), 0U);
}

}  // namespace
}  // namespace headstart
