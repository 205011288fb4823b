#include "image/crop.h"

#include <algorithm>
#include <cmath>

#include "headstart/error.h"
#include "image/pipeline.h"
#include "image/preprocess.h"
#include "resample_testing.h"

namespace headstart::test {
namespace {

using nlohmann::json;

TEST(RoundHalfEven, IsPythonsRound) {
  EXPECT_EQ(round_half_even(0.5), 0);
  EXPECT_EQ(round_half_even(1.5), 2);
  EXPECT_EQ(round_half_even(2.5), 2);
  EXPECT_EQ(round_half_even(-0.5), 0);
  EXPECT_EQ(round_half_even(-1.5), -2);
  EXPECT_EQ(round_half_even(2.4999), 2);
  EXPECT_EQ(round_half_even(2.5001), 3);
  EXPECT_EQ(round_half_even(7), 7);
}

TEST(Preprocess, EqualsTorchvisionsGoldenValues) {
  ResampleScratch scratch;
  const json cases = resample_golden("preprocess");
  ASSERT_GE(cases.size(), 50U);
  for (const json& golden : cases) {
    Preprocessing preprocessing;
    preprocessing.resize_mode = golden.at("squash").get<bool>() ? ResizeMode::kSquash : ResizeMode::kShorterSide;
    preprocessing.resize_size = golden.at("resize").get<int>();
    preprocessing.crop_size = golden.at("crop").get<int>();
    preprocessing.interpolation = interpolation_of(golden);
    const Image source = golden_source(golden);
    const Image result = preprocess(source, preprocessing);
    EXPECT_EQ(result.size, (ImageSize{preprocessing.crop_size, preprocessing.crop_size}));
    EXPECT_EQ(short_digest(result), golden.at("sha256")) << golden;
    Image reused{.size = result.size, .rgb = std::vector<std::uint8_t>(result.rgb.size(), 0xAB)};  // padding must be written too
    preprocess_into(source, preprocessing, scratch, reused.rgb);
    EXPECT_EQ(reused.rgb, result.rgb) << golden;
  }
}

TEST(Preprocess, TheLongerSideIsTruncated) {
  Preprocessing preprocessing;
  EXPECT_EQ(resized_size({375, 500}, preprocessing), (ImageSize{256, 341}));
  EXPECT_EQ(resized_size({500, 375}, preprocessing), (ImageSize{341, 256}));
  EXPECT_EQ(resized_size({100, 100}, preprocessing), (ImageSize{256, 256}));
  preprocessing.resize_mode = ResizeMode::kSquash;
  EXPECT_EQ(resized_size({375, 500}, preprocessing), (ImageSize{256, 256}));
}

TEST(Preprocess, RefusesWhatCannotBeResized) {
  Preprocessing preprocessing;
  const auto category = [&](ImageSize size) {
    try {
      resized_size(size, preprocessing);
    } catch (const Error& error) {
      return static_cast<int>(error.category());
    }
    return 0;
  };
  EXPECT_EQ(category({1, 178'000'000}), static_cast<int>(ErrorCategory::kData)) << "its longer side would not fit an int";
  EXPECT_EQ(category({0, 5}), static_cast<int>(ErrorCategory::kUsage));
  preprocessing.resize_size = 0;
  EXPECT_EQ(category({5, 5}), static_cast<int>(ErrorCategory::kUsage));
  preprocessing.resize_size = 256;
  preprocessing.crop_size = -1;
  EXPECT_EQ(category({5, 5}), static_cast<int>(ErrorCategory::kUsage));
  EXPECT_THROW(preprocess(noise_picture({5, 5}), preprocessing), Error);
}

// Distance between an empirical distribution of draws from [0, 1] and the uniform one (Kolmogorov and Smirnov).
double distance_from_uniform(std::vector<double> draws) {
  std::sort(draws.begin(), draws.end());
  double distance = 0;
  const auto n = static_cast<double>(draws.size());
  for (std::size_t i = 0; i < draws.size(); ++i) {
    distance = std::max({distance, std::abs(draws[i] - static_cast<double>(i) / n), std::abs(draws[i] - static_cast<double>(i + 1) / n)});
  }
  return distance;
}

constexpr int kDraws = 4000;
// The 99.9% point of that distance is 1.95 / sqrt(n); seeds are fixed, so the test cannot fail by chance.
const double kFarthest = 1.95 / std::sqrt(kDraws);

// With areas up to a quarter, no draw is rejected on a square picture: the first try counts, and its distribution is the nominal one.
TEST(DrawAugmentation, AreaIsUniformAndAspectLogUniform) {
  Augmentation augmentation;
  augmentation.min_area = 0.05;
  augmentation.max_area = 0.25;
  const ImageSize size{2000, 2000};
  std::vector<double> areas, aspects, tops, lefts;
  for (std::uint32_t sample = 0; sample < kDraws; ++sample) {
    const Region region = draw_augmentation(size, augmentation, 11, 0, sample).region;
    const double area = static_cast<double>(region.height) * region.width / (2000.0 * 2000.0);
    areas.push_back(std::clamp((area - 0.05) / 0.2, 0.0, 1.0));
    const double aspect = static_cast<double>(region.width) / region.height;
    aspects.push_back(std::clamp((std::log(aspect) - std::log(0.75)) / (std::log(4.0 / 3.0) - std::log(0.75)), 0.0, 1.0));
    tops.push_back(region.top / (2000.0 - region.height));
    lefts.push_back(region.left / (2000.0 - region.width));
  }
  EXPECT_TRUE(distance_from_uniform(areas) <= kFarthest);
  EXPECT_TRUE(distance_from_uniform(aspects) <= kFarthest);
  EXPECT_TRUE(distance_from_uniform(tops) <= kFarthest);
  EXPECT_TRUE(distance_from_uniform(lefts) <= kFarthest);
}

TEST(DrawAugmentation, CropsLieInsideAndHaveTheAllowedShapes) {
  const Augmentation augmentation;
  for (const ImageSize size :
       {ImageSize{375, 500}, ImageSize{500, 333}, ImageSize{64, 64}, ImageSize{7, 9}, ImageSize{1, 1}, ImageSize{1, 2}}) {
    for (std::uint32_t sample = 0; sample < 500; ++sample) {
      const Region region = draw_augmentation(size, augmentation, 3, 1, sample).region;
      ASSERT_GE(region.top, 0);
      ASSERT_GE(region.left, 0);
      ASSERT_GE(region.height, 1);
      ASSERT_GE(region.width, 1);
      ASSERT_LE(region.top + region.height, size.height);
      ASSERT_LE(region.left + region.width, size.width);
      if (size.height < 300) continue;  // rounding to whole pixels moves the aspect of small crops
      const double aspect = static_cast<double>(region.width) / region.height;
      ASSERT_TRUE(aspect >= 0.74 && aspect <= 1.35) << aspect;
      ASSERT_TRUE(region.height * region.width >= 0.078 * size.height * size.width);
    }
  }
}

TEST(DrawAugmentation, PicturesTooElongatedForAnyTryGiveTheCentralCrop) {
  const Augmentation augmentation;
  const auto expect_region = [&](ImageSize size, int top, int left, int height, int width) {
    const Region region = draw_augmentation(size, augmentation, 5, 0, 0).region;
    EXPECT_EQ(region.top, top) << size.width << "x" << size.height;
    EXPECT_EQ(region.left, left) << size.width << "x" << size.height;
    EXPECT_EQ(region.height, height) << size.width << "x" << size.height;
    EXPECT_EQ(region.width, width) << size.width << "x" << size.height;
  };
  // As torchvision: int(round(10 / (3 / 4))) = 13 rows of a picture 10 wide, int(round(10 * 4 / 3)) = 13 columns of one 10 high.
  expect_region({10000, 10}, (10000 - 13) / 2, 0, 13, 10);
  expect_region({10, 10000}, 0, (10000 - 13) / 2, 10, 13);
  expect_region({3, 3000}, 0, 1498, 3, 4);
  expect_region({3000, 1}, 1499, 0, 1, 1);
}

TEST(DrawAugmentation, AWholePictureComesWhereItsAspectIsAllowedButNoTryFits) {
  Augmentation augmentation;
  augmentation.min_area = augmentation.max_area = 1.0;
  augmentation.min_aspect = 0.5;
  augmentation.max_aspect = 2.0;
  int whole = 0;
  for (std::uint32_t sample = 0; sample < 200; ++sample) {
    const Region region = draw_augmentation({3000, 2000}, augmentation, 5, 0, sample).region;
    whole += region.top == 0 && region.left == 0 && region.height == 3000 && region.width == 2000 ? 1 : 0;
  }
  EXPECT_GE(whole, 190) << "a full-area try fits only if its aspect is that of the picture to half a pixel";
}

TEST(DrawAugmentation, FlipsComeAtTheirProbabilityAndFromTheirOwnStream) {
  Augmentation augmentation;
  const auto share = [&](double probability) {
    augmentation.flip_probability = probability;
    int flips = 0;
    for (std::uint32_t sample = 0; sample < kDraws; ++sample)
      flips += draw_augmentation({300, 300}, augmentation, 9, 2, sample).flip ? 1 : 0;
    return flips / static_cast<double>(kDraws);
  };
  EXPECT_EQ(share(0.0), 0.0);
  EXPECT_EQ(share(1.0), 1.0);
  // Five standard deviations of a share of 4000 draws.
  EXPECT_TRUE(std::abs(share(0.5) - 0.5) <= 5 * std::sqrt(0.25 / kDraws));
  EXPECT_TRUE(std::abs(share(0.1) - 0.1) <= 5 * std::sqrt(0.09 / kDraws));
  for (std::uint32_t sample = 0; sample < 50; ++sample) {
    augmentation.min_area = 0.08;
    const CropDraw wide = draw_augmentation({300, 300}, augmentation, 9, 2, sample);
    augmentation.min_area = 0.9;
    EXPECT_EQ(draw_augmentation({100, 900}, augmentation, 9, 2, sample).flip, wide.flip) << "the crop's draws must not move the flip's";
  }
}

TEST(DrawAugmentation, DependsOnSeedEpochAndSampleAlone) {
  const Augmentation augmentation;
  const auto key = [&](std::uint64_t seed, std::uint32_t epoch, std::uint32_t sample) {
    const Region region = draw_augmentation({375, 500}, augmentation, seed, epoch, sample).region;
    return std::array{region.top, region.left, region.height, region.width};
  };
  EXPECT_EQ(key(1, 2, 3), key(1, 2, 3));
  EXPECT_NE(key(1, 2, 3), key(2, 2, 3));
  EXPECT_NE(key(1, 2, 3), key(1, 3, 3));
  EXPECT_NE(key(1, 2, 3), key(1, 2, 4));
}

TEST(DrawAugmentation, RefusesRangesThatCannotBeMeant) {
  const auto refuses = [](auto change) {
    Augmentation augmentation;
    change(augmentation);
    EXPECT_THROW(draw_augmentation({10, 10}, augmentation, 1, 0, 0), Error);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refuses([](Augmentation& a) { a.min_area = 0; });
  refuses([](Augmentation& a) { a.max_area = 1.5; });
  refuses([](Augmentation& a) { a.min_area = 0.9, a.max_area = 0.5; });
  refuses([&](Augmentation& a) { a.max_area = nan; });
  refuses([](Augmentation& a) { a.min_aspect = -1; });
  refuses([](Augmentation& a) { a.max_aspect = 0.5; });
  refuses([](Augmentation& a) { a.max_aspect = std::numeric_limits<double>::infinity(); });
  refuses([](Augmentation& a) { a.flip_probability = 1.01; });
  refuses([&](Augmentation& a) { a.flip_probability = nan; });
  EXPECT_THROW(draw_augmentation({0, 10}, {}, 1, 0, 0), Error);
}

}  // namespace
}  // namespace headstart::test
