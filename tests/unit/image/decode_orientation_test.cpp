// The eight EXIF orientations, wherever a format keeps them.
#include <cstring>

#include "decode_testing.h"
#include "image/exif.h"

namespace headstart::test {
namespace {

// A picture whose pixel at (y, x) is (10 * y + x, y, x).
Image numbered(int height, int width) {
  Image image{{height, width}, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {10 * y + x, y, x}) image.rgb.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return image;
}

// Where orientation `o` takes the stored pixel (y, x) from, for the upright pixel (y, x): straight from the EXIF specification's table of
// which stored edge row 0 and column 0 show.
std::pair<int, int> stored_position(int orientation, int y, int x, ImageSize stored) {
  const int last_y = stored.height - 1, last_x = stored.width - 1;
  switch (orientation) {
    case 2:
      return {y, last_x - x};
    case 3:
      return {last_y - y, last_x - x};
    case 4:
      return {last_y - y, x};
    case 5:
      return {x, y};
    case 6:
      return {last_y - x, y};
    case 7:
      return {last_y - x, last_x - y};
    case 8:
      return {x, last_x - y};
    default:
      return {y, x};
  }
}

TEST(DecodeOrientation, TurnsPixelsAsTheSpecificationSays) {
  for (const ImageSize size : {ImageSize{1, 1}, ImageSize{1, 6}, ImageSize{6, 1}, ImageSize{3, 5}, ImageSize{4, 4}, ImageSize{70, 33}}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const Image stored = numbered(size.height, size.width);
      Image upright = stored;
      std::vector<std::uint8_t> scratch;
      apply_orientation(upright, orientation, scratch);
      const bool turned = orientation >= 5;
      ASSERT_EQ(upright.size, (turned ? ImageSize{size.width, size.height} : size));
      for (int y = 0; y < upright.size.height; ++y) {
        for (int x = 0; x < upright.size.width; ++x) {
          const auto [from_y, from_x] = stored_position(orientation, y, x, size);
          const auto at = static_cast<std::size_t>(y * upright.size.width + x) * 3,
                     from = static_cast<std::size_t>(from_y * size.width + from_x) * 3;
          ASSERT_EQ(std::memcmp(upright.rgb.data() + at, stored.rgb.data() + from, 3), 0) << orientation << ": " << y << ", " << x;
        }
      }
    }
  }
}

TEST(DecodeOrientation, ProbeReportsWhatTheFileSays) {
  for (const int orientation : {1, 2, 5, 6, 7, 8}) {
    EXPECT_EQ(probe_image(golden_picture("exif_" + std::to_string(orientation) + ".jpg")).orientation, orientation);
  }
  EXPECT_EQ(probe_image(golden_picture("exif_8.png")).orientation, 8);
  EXPECT_EQ(probe_image(golden_picture("exif_8.webp")).orientation, 8);
  EXPECT_EQ(probe_image(golden_picture("tag_5.tif")).orientation, 5);
}

TEST(DecodeOrientation, InvalidValuesCountAsUpright) {
  EXPECT_EQ(probe_image(golden_picture("exif_0.png")).orientation, 1);
  EXPECT_EQ(probe_image(golden_picture("exif_9.png")).orientation, 1);
}

TEST(DecodeOrientation, IsFoundInXmpAndRawProfilesWhenThereIsNoExif) {
  for (const char* name : {"xmp_6.jpg", "xmp_6.webp", "xmp_6_0.png", "xmp_6_1.png", "raw_profile_6_0.png", "raw_profile_6_1.png"}) {
    EXPECT_EQ(probe_image(golden_picture(name)).orientation, 6) << name;
  }
}

// "II", 42, directory at 8, one entry.
std::string exif_block(std::uint16_t tag, std::uint16_t type, std::uint32_t count, std::uint32_t value, std::uint32_t directory = 8) {
  std::string block("II*\0", 4);
  const auto put = [&](std::uint32_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) block.push_back(static_cast<char>(number >> (8 * i)));
  };
  put(directory, 4);
  put(1, 2);
  put(tag, 2), put(type, 2), put(count, 4), put(value, 4);
  return block;
}

std::optional<std::uint32_t> parse(const std::string& block) { return exif_orientation(std::as_bytes(std::span(block))); }

TEST(DecodeOrientation, ReadsShortAndLongValues) {
  EXPECT_EQ(parse(exif_block(0x0112, 3, 1, 6)), 6u);
  EXPECT_EQ(parse(exif_block(0x0112, 4, 1, 8)), 8u);
  EXPECT_EQ(parse(std::string("Exif\0\0", 6) + exif_block(0x0112, 3, 1, 3)), 3u);
}

TEST(DecodeOrientation, IgnoresDamagedBlocks) {
  EXPECT_EQ(parse(""), std::nullopt);
  EXPECT_EQ(parse("II*"), std::nullopt);
  EXPECT_EQ(parse("XX*\0\0\0\0\0"), std::nullopt);
  EXPECT_EQ(parse(exif_block(0x0113, 3, 1, 6)), std::nullopt);                // another tag
  EXPECT_EQ(parse(exif_block(0x0112, 2, 1, 6)), std::nullopt);                // text
  EXPECT_EQ(parse(exif_block(0x0112, 3, 0, 6)), std::nullopt);                // no value
  EXPECT_EQ(parse(exif_block(0x0112, 3, 1, 6, 0xFFFFFFF0)), std::nullopt);    // the directory is outside
  EXPECT_EQ(parse(exif_block(0x0112, 3, 1, 6).substr(0, 20)), std::nullopt);  // cut in the entry
  EXPECT_EQ(parse(exif_block(0x0112, 3, 9, 0xFFFFFFFF)), 0u);                 // values outside read as zero: invalid, so upright
}

TEST(DecodeOrientation, RealPhotosOfAllOrientationsShowTheSamePicture) {
  const auto folder = shared_dir() / "data/tricky/exif-orientation";
  HEADSTART_SKIP_WITHOUT(folder);
  for (const std::string shape : {"Landscape", "Portrait"}) {
    const Image upright = read_image(folder / (shape + "_1.jpg"));
    for (int orientation = 0; orientation <= 8; ++orientation) {
      const Image image = read_image(folder / (shape + "_" + std::to_string(orientation) + ".jpg"));
      ASSERT_EQ(image.size, upright.size) << shape << orientation;
      double difference = 0;
      for (std::size_t i = 0; i < image.rgb.size(); ++i) difference += std::abs(image.rgb[i] - upright.rgb[i]);
      // Each file was compressed on its own: the mean difference of a wrong turn is above 30, of another compression below 3.
      EXPECT_LT(difference / static_cast<double>(image.rgb.size()), 8) << shape << orientation;
    }
  }
}

}  // namespace
}  // namespace headstart::test
