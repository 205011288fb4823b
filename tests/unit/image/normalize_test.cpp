#include <bit>
#include <cmath>
#include <random>

#include "headstart/error.h"
#include "image/pipeline.h"
#include "image/resample_kernels.h"
#include "resample_testing.h"

namespace headstart::test {
namespace {

using nlohmann::json;

Preprocessing preprocessing_of(const json& golden) {
  Preprocessing preprocessing;
  preprocessing.mean = golden.at("mean").get<std::array<float, 3>>();
  preprocessing.std = golden.at("std").get<std::array<float, 3>>();
  return preprocessing;
}

std::vector<std::uint8_t> every_value() {
  std::vector<std::uint8_t> rgb;
  for (int value = 0; value < 256; ++value) rgb.insert(rgb.end(), 3, static_cast<std::uint8_t>(value));
  return rgb;
}

TEST(Normalize, EqualsTorchvisionsGoldenValuesOnEveryTarget) {
  const std::vector<std::uint8_t> rgb = every_value();
  for (const std::int64_t target : simd_targets()) {
    use_simd_target(target);
    for (const json& golden : resample_golden("normalize")) {
      std::vector<float> floats(rgb.size());
      std::vector<std::uint16_t> halves(rgb.size());
      normalize_to_float32(rgb, preprocessing_of(golden), floats.data());
      normalize_to_bfloat16(rgb, preprocessing_of(golden), halves.data());
      EXPECT_EQ(short_digest(std::as_bytes(std::span(floats))), golden.at("float32")) << simd_target_name(target) << " " << golden;
      EXPECT_EQ(short_digest(std::as_bytes(std::span(halves))), golden.at("bfloat16")) << simd_target_name(target) << " " << golden;
      for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(std::bit_cast<std::int32_t>(floats[i]), golden.at("first_bits").at(i));
    }
  }
  use_simd_target(0);
}

// Lengths that leave every remainder of a vector, with guard values behind: nothing beyond the pixels is written.
TEST(Normalize, AnyNumberOfPixelsEqualsTheFormula) {
  const Preprocessing preprocessing;
  const Image image = noise_picture({1, 100});
  for (std::size_t pixels = 0; pixels <= 100; ++pixels) {
    const std::span<const std::uint8_t> rgb(image.rgb.data(), pixels * 3);
    std::vector<float> floats(pixels * 3 + 1, 77.0F);
    std::vector<std::uint16_t> halves(pixels * 3 + 1, 77);
    normalize_to_float32(rgb, preprocessing, floats.data());
    normalize_to_bfloat16(rgb, preprocessing, halves.data());
    for (std::size_t i = 0; i < rgb.size(); ++i) {
      const float value = (static_cast<float>(rgb[i]) / 255.0F - preprocessing.mean[i % 3]) / preprocessing.std[i % 3];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(floats[i]), std::bit_cast<std::uint32_t>(value)) << i << " of " << pixels;
      // bfloat16 has 8 significant bits: rounding to nearest moves a value by at most 2^-8 of it.
      const float half = std::bit_cast<float>(static_cast<std::uint32_t>(halves[i]) << 16);
      ASSERT_TRUE(std::abs(half - value) <= std::abs(value) / 256) << i << " of " << pixels;
    }
    EXPECT_EQ(floats.back(), 77.0F);
    EXPECT_EQ(halves.back(), 77);
  }
}

std::uint16_t nearest_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Among these are means and deviations for which the cheap arithmetic rounds a value otherwise than the formula; out of step with vectors
// (shift 1) nothing can be streamed past the caches.
TEST(Normalize, EqualsTheFormulaForAnyMeanAndDeviation) {
  alignas(64) float floats[3 * 256 + 1];
  alignas(64) std::uint16_t halves[3 * 256 + 1];
  const std::vector<std::uint8_t> rgb = every_value();
  std::mt19937 random(1);
  std::uniform_real_distribution<float> share(0.05F, 0.95F);
  for (int trial = 0; trial < 200; ++trial) {
    Preprocessing preprocessing;
    for (std::size_t c = 0; c < 3; ++c) {
      preprocessing.mean[c] = share(random);
      preprocessing.std[c] = share(random);
    }
    for (const std::int64_t target : simd_targets()) {
      use_simd_target(target);
      const std::size_t shift = static_cast<std::size_t>(trial % 2);
      normalize_to_float32(rgb, preprocessing, floats + shift);
      normalize_to_bfloat16(rgb, preprocessing, halves + shift);
      for (std::size_t i = 0; i < rgb.size(); ++i) {
        const float value = (static_cast<float>(rgb[i]) / 255.0F - preprocessing.mean[i % 3]) / preprocessing.std[i % 3];
        ASSERT_EQ(std::bit_cast<std::uint32_t>(floats[i + shift]), std::bit_cast<std::uint32_t>(value)) << simd_target_name(target) << i;
        ASSERT_EQ(halves[i + shift], nearest_bfloat16(value)) << simd_target_name(target) << i;
      }
    }
  }
  use_simd_target(0);
}

TEST(Normalize, RefusesMeansAndDeviationsThatGiveNoNumbers) {
  const std::vector<std::uint8_t> rgb(3);
  float out[3];
  std::uint16_t halves[3];
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [mean, std] : {std::pair{0.5F, 0.0F}, {0.5F, nan}, {0.5F, infinity}, {nan, 1.0F}, {infinity, 1.0F}}) {
    Preprocessing preprocessing;
    preprocessing.mean[1] = mean;
    preprocessing.std[1] = std;
    EXPECT_THROW(normalize_to_float32(rgb, preprocessing, out), Error) << mean << " " << std;
    EXPECT_THROW(normalize_to_bfloat16(rgb, preprocessing, halves), Error) << mean << " " << std;
  }
}

}  // namespace
}  // namespace headstart::test
