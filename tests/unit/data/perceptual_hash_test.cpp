#include "data/perceptual_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "core/random.h"
#include "headstart/image.h"

namespace headstart {
namespace {

// A smooth random picture: a few waves a channel.
Image waves(int height, int width, std::uint32_t which) {
  RandomStream stream(1, Purpose::kTest, 0, which);
  struct Wave {
    double y, x, phase, strength;
  };
  std::vector<Wave> waves_of[3];
  for (auto& channel : waves_of) {
    for (int i = 0; i < 6; ++i)
      channel.push_back({stream.uniform(-12, 12), stream.uniform(-12, 12), stream.uniform(0, 6.3), stream.uniform(5, 25)});
  }
  Image image{{height, width}, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const auto& channel : waves_of) {
        double value = 128;
        for (const Wave& wave : channel) value += wave.strength * std::sin(wave.y * y / height + wave.x * x / width + wave.phase);
        image.rgb.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
      }
    }
  }
  return image;
}

bool same(const Look& a, const Look& b) {
  return hash_distance(a.hash, b.hash) <= kMaxHashDistance && colour_distance(a, b) <= kMaxColourDistance;
}

TEST(Look, HasAsManyOnesAsZeros) {
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(std::popcount(look_of(waves(90, 120, i)).hash), 32);
}

TEST(Look, SurvivesEncodingScalingAndBrightening) {
  for (std::uint32_t i = 0; i < 20; ++i) {
    const Image image = waves(150, 200, i);
    const Look look = look_of(image);
    EXPECT_TRUE(same(look, look_of(decode_image(encode_jpeg(image, 40)))));
    EXPECT_TRUE(same(look, look_of(resize(image, {75, 100}, Interpolation::kBicubic))));
    EXPECT_TRUE(same(look, look_of(resize(image, {301, 377}, Interpolation::kBilinear))));
    Image brighter = image;
    for (std::uint8_t& value : brighter.rgb) value = static_cast<std::uint8_t>(std::min(255, value + 9));
    EXPECT_TRUE(same(look, look_of(brighter)));
  }
}

TEST(Look, TellsPicturesMirrorImagesAndColoursApart) {
  for (std::uint32_t i = 0; i < 20; ++i) {
    const Image image = waves(150, 200, i);
    const Look look = look_of(image);
    EXPECT_FALSE(same(look, look_of(waves(150, 200, i + 100))));
    Image mirrored = image, swapped = image;
    for (std::size_t y = 0; y < 150; ++y) {
      for (std::size_t x = 0; x < 200; ++x) {
        for (std::size_t c = 0; c < 3; ++c) mirrored.rgb[(y * 200 + x) * 3 + c] = image.rgb[(y * 200 + 199 - x) * 3 + c];
      }
    }
    EXPECT_FALSE(same(look, look_of(mirrored)));
    // The same shapes in other colours: equal to the hash, which sees grey, and not to the eye.
    for (std::size_t p = 0; p < swapped.rgb.size(); p += 3) {
      const int shift = std::min(60, 255 - std::max(swapped.rgb[p], swapped.rgb[p + 2]));
      swapped.rgb[p] = static_cast<std::uint8_t>(swapped.rgb[p] + shift);
      swapped.rgb[p + 2] = static_cast<std::uint8_t>(std::max(0, swapped.rgb[p + 2] - 60));
    }
    EXPECT_GT(colour_distance(look, look_of(swapped)), kMaxColourDistance);
  }
}

TEST(Look, BlankPicturesAreFlatAndOthersAreNot) {
  EXPECT_TRUE(look_of({{50, 50}, std::vector<std::uint8_t>(7500, 0)}).flat);
  EXPECT_TRUE(look_of({{50, 50}, std::vector<std::uint8_t>(7500, 255)}).flat);
  Image noisy{{200, 200}, {}};  // fine noise without structure
  RandomStream stream(2, Purpose::kTest);
  for (int i = 0; i < 200 * 200 * 3; ++i) noisy.rgb.push_back(static_cast<std::uint8_t>(120 + stream.below(16)));
  EXPECT_TRUE(look_of(noisy).flat);
  EXPECT_FALSE(look_of(waves(50, 50, 3)).flat);
}

TEST(Look, PicturesSmallerThanTheThumbnailWork) {
  for (const ImageSize size : {ImageSize{1, 1}, ImageSize{1, 500}, ImageSize{500, 1}, ImageSize{3, 2}, ImageSize{31, 33}}) {
    const Image image{size,
                      std::vector<std::uint8_t>(static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3, 90)};
    const Look look = look_of(image);
    EXPECT_TRUE(look.flat);
    EXPECT_EQ(look.colours[0], 90);
    EXPECT_EQ(look.colours[47], 90);
  }
}

Look look_with(std::uint64_t hash, std::uint8_t colour = 100) {
  Look look;
  look.hash = hash;
  look.colours.fill(colour);
  return look;
}

std::uint64_t flip_bits(std::uint64_t hash, int count, RandomStream& stream) {
  std::uint64_t mask = 0;
  while (std::popcount(mask) < count) mask |= std::uint64_t{1} << stream.below(64);
  return hash ^ mask;
}

using Groups = std::vector<std::vector<std::uint32_t>>;

TEST(SimilarGroups, FindsEveryPairWithinTheDistanceWhereverTheBitsLie) {
  RandomStream stream(3, Purpose::kTest);
  const auto next_u64 = [&] { return (std::uint64_t{stream.next_u32()} << 32) | stream.next_u32(); };
  for (int round = 0; round < 1000; ++round) {
    const std::uint64_t hash = next_u64();
    EXPECT_EQ(similar_groups({look_with(hash), look_with(flip_bits(hash, kMaxHashDistance, stream))}), (Groups{{0, 1}}));
    const Look beyond = look_with(flip_bits(hash, kMaxHashDistance + 1, stream));
    EXPECT_TRUE(similar_groups({look_with(hash), beyond}).empty());
  }
}

TEST(SimilarGroups, NeedsLikeColoursAndStructure) {
  EXPECT_TRUE(similar_groups({look_with(5, 100), look_with(5, 113)}).empty());
  EXPECT_EQ(similar_groups({look_with(5, 100), look_with(5, 112)}), (Groups{{0, 1}}));
  Look flat = look_with(5);
  flat.flat = true;
  EXPECT_TRUE(similar_groups({flat, flat, look_with(5)}).empty());
}

TEST(SimilarGroups, AreClosedSortedAndDisjoint) {
  const std::uint64_t far = 0xFFFF'FFFF'0000'0000;
  // 0, 3 and 5 are a chain whose ends lie 16 bits apart; 1 and 4 are equal; 2 is alone.
  EXPECT_EQ(similar_groups({look_with(0), look_with(far), look_with(far ^ 0xFFFFFF), look_with(0xFF), look_with(far), look_with(0xFFFF)}),
            (Groups{{0, 3, 5}, {1, 4}}));
}

// The same groups as comparing all pairs, on hashes that crowd together.
TEST(SimilarGroups, EqualThoseOfComparingAllPairs) {
  RandomStream stream(4, Purpose::kTest);
  std::vector<Look> looks;
  for (int i = 0; i < 1500; ++i) {
    const std::uint64_t centre = 0x0123'4567'89AB'CDEF * (1 + stream.below(40));
    looks.push_back(
        look_with(flip_bits(centre, static_cast<int>(stream.below(24)), stream), static_cast<std::uint8_t>(100 + stream.below(30))));
  }
  std::vector<std::uint32_t> home(looks.size());
  for (std::uint32_t i = 0; i < home.size(); ++i) home[i] = i;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::uint32_t i = 0; i < home.size(); ++i) {
      for (std::uint32_t j = 0; j < i; ++j) {
        if (home[i] == home[j] || !same(looks[i], looks[j])) continue;
        home[i] = home[j] = std::min(home[i], home[j]);
        changed = true;
      }
    }
  }
  Groups expected;
  for (std::uint32_t root = 0; root < home.size(); ++root) {
    std::vector<std::uint32_t> group;
    for (std::uint32_t i = root; i < home.size(); ++i) {
      if (home[i] == root) group.push_back(i);
    }
    if (group.size() > 1) expected.push_back(group);
  }
  ASSERT_GT(expected.size(), 10U);
  EXPECT_EQ(similar_groups(looks), expected);
}

// All pairs of 60,000 equal or nearly equal looks would take minutes; the suite's time limit is the judge.
TEST(SimilarGroups, CrowdsOfAlikePhotosStayCheap) {
  std::vector<Look> equal(60'000, look_with(77));
  EXPECT_EQ(similar_groups(equal).size(), 1U);
}

}  // namespace
}  // namespace headstart
