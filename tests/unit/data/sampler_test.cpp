#include "data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "headstart/error.h"

namespace headstart {
namespace {

std::vector<Sample> samples_of(const std::vector<int>& photos_by_class) {
  std::vector<Sample> samples;
  for (std::size_t label = 0; label < photos_by_class.size(); ++label) {
    for (int i = 0; i < photos_by_class[label]; ++i)
      samples.push_back({std::to_string(samples.size()), static_cast<std::int32_t>(label), 1, 1});
  }
  return samples;
}

TEST(Sampler, AnEpochIsAPermutation) {
  const auto samples = samples_of({100, 30, 7});
  for (const Imbalance imbalance : {Imbalance::kNone, Imbalance::kClassWeights}) {
    auto order = epoch_order(samples, 3, imbalance, 5, 2);
    EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    std::sort(order.begin(), order.end());
    std::vector<std::uint32_t> all(samples.size());
    std::iota(all.begin(), all.end(), 0U);
    EXPECT_EQ(order, all);
  }
}

TEST(Sampler, TheOrderIsAFunctionOfSeedAndEpoch) {
  const auto samples = samples_of({40, 40});
  for (const Imbalance imbalance : {Imbalance::kNone, Imbalance::kBalancedSampler}) {
    const auto order = epoch_order(samples, 2, imbalance, 1, 1);
    EXPECT_EQ(order, epoch_order(samples, 2, imbalance, 1, 1));
    EXPECT_NE(order, epoch_order(samples, 2, imbalance, 1, 2));
    EXPECT_NE(order, epoch_order(samples, 2, imbalance, 2, 1));
  }
}

// Frozen: the order is part of what a seed means.
TEST(Sampler, TheOrderKeepsItsValueOverVersions) {
  const auto samples = samples_of({4, 4});
  EXPECT_EQ(epoch_order(samples, 2, Imbalance::kNone, 42, 3), (std::vector<std::uint32_t>{4, 1, 5, 0, 7, 2, 3, 6}));
  EXPECT_EQ(epoch_order(samples, 2, Imbalance::kBalancedSampler, 42, 3), (std::vector<std::uint32_t>{2, 5, 5, 0, 7, 4, 6, 4}));
}

// 4 photos: all 24 orders come equally often over the epochs (24,000 epochs; chi-square with 23 degrees of freedom exceeds 60 with
// probability 4e-5, and the draws are fixed).
TEST(Sampler, AllOrdersAreEquallyLikely) {
  const auto samples = samples_of({4});
  std::vector<int> counts(256);
  constexpr int kEpochs = 24'000;
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    const auto order = epoch_order(samples, 1, Imbalance::kNone, 9, epoch);
    ++counts[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]];
  }
  double chi_square = 0;
  int seen = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++seen;
    chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  }
  EXPECT_EQ(seen, 24);
  EXPECT_LT(chi_square, 60);
}

// Classes of 2,000, 20 and 0 photos: each of the two that have any gets half of 2,020 draws (standard deviation 22.5; five of them), and
// every photo of the small one is drawn.
TEST(Sampler, BalancedDrawsTakeEveryClassEquallyOften) {
  const auto samples = samples_of({2000, 20, 0});
  const auto order = epoch_order(samples, 3, Imbalance::kBalancedSampler, 3, 1);
  ASSERT_EQ(order.size(), samples.size());
  std::vector<int> draws(samples.size());
  int of_first = 0;
  for (const std::uint32_t index : order) {
    ASSERT_LT(index, samples.size());
    ++draws[index];
    if (samples[index].label == 0) ++of_first;
  }
  EXPECT_NEAR(of_first, 1010, 113);
  EXPECT_TRUE(std::all_of(draws.begin() + 2000, draws.end(), [](int count) { return count > 20; }));  // 50 expected each
}

TEST(Sampler, NoPhotosGiveAnEmptyOrder) {
  EXPECT_TRUE(epoch_order({}, 2, Imbalance::kNone, 1, 1).empty());
  EXPECT_TRUE(epoch_order({}, 2, Imbalance::kBalancedSampler, 1, 1).empty());
}

TEST(Sampler, LabelsOutsideOfTheClassesAreRefused) {
  const auto samples = samples_of({1, 1, 1});
  EXPECT_THROW(class_weights(samples, 2), Error);
  EXPECT_THROW(epoch_order(samples, 2, Imbalance::kBalancedSampler, 1, 1), Error);
}

TEST(ClassWeights, ArePhotosOverClassesTimesPhotosOfTheClass) {
  EXPECT_EQ(class_weights(samples_of({60, 20, 0, 20}), 4), (std::vector<float>{100.0F / 240, 100.0F / 80, 0.0F, 100.0F / 80}));
}

}  // namespace
}  // namespace headstart
