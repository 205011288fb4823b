// Partial and scaled JPEG decoding against whole pictures.
#include <cmath>
#include <random>

#include "decode_testing.h"
#include "image/jpeg.h"

namespace headstart::test {
namespace {

// A smooth picture with noise, so that wrong rows, columns or upsampling show.
Image scene(int height, int width) {
  Image image{{height, width}, {}};
  std::mt19937 random(5);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c)
        image.rgb.push_back(static_cast<std::uint8_t>((x * (2 + c) + y * (3 - c) + static_cast<int>(random() % 60)) % 256));
    }
  }
  return image;
}

struct Part {
  Image pixels;
  Box box;
};

Part decode_part(const EncodedBytes& jpeg, const Region& region, ImageSize target) {
  Part part;
  decode_jpeg_region(jpeg, region, target, part.pixels, part.box);
  EXPECT_GE(part.box.left, 0);
  EXPECT_GE(part.box.top, 0);
  EXPECT_LE(part.box.right, part.pixels.size.width);
  EXPECT_LE(part.box.bottom, part.pixels.size.height);
  return part;
}

// Whole scaled pictures come from a region that is the whole picture.
Image decode_scaled(const EncodedBytes& jpeg, ImageSize full, int eighths) {
  const ImageSize target{std::max(1, full.height * eighths / 8), std::max(1, full.width * eighths / 8)};
  return decode_part(jpeg, {0, 0, full.height, full.width}, target).pixels;
}

// Every pixel of `part` but two columns at its inner edges equals the whole picture's.
void expect_inside(const Part& part, const Region& region, int eighths, const Image& whole, const std::string& what) {
  const int left = static_cast<int>(std::lround(region.left * eighths / 8.0 - part.box.left));
  const int top = static_cast<int>(std::lround(region.top * eighths / 8.0 - part.box.top));
  const ImageSize size = part.pixels.size;
  ASSERT_LE(left + size.width, whole.size.width) << what;
  ASSERT_LE(top + size.height, whole.size.height) << what;
  const int begin = left > 0 ? 2 : 0, end = size.width - (left + size.width < whole.size.width ? 2 : 0);
  for (int y = 0; y < size.height; ++y) {
    for (int x = begin * 3; x < end * 3; ++x) {
      const auto got = part.pixels.rgb[static_cast<std::size_t>(y * size.width * 3 + x)];
      const auto expected = whole.rgb[static_cast<std::size_t>(((top + y) * whole.size.width + left) * 3 + x)];
      ASSERT_EQ(got, expected) << what << ": row " << y << ", column " << x / 3;
    }
  }
  EXPECT_TRUE(left == 0 || part.box.left >= 2) << what;
  EXPECT_TRUE(left + size.width == whole.size.width || part.box.right <= size.width - 2) << what;
}

TEST(DecodeJpegRegion, PixelsEqualTheWholePictureAtEveryScale) {
  const ImageSize size{152, 208};  // whole at every scale
  for (const char* kind : {"420", "444", "420_progressive", "grey", "cmyk", "411"}) {
    // The golden pictures are small; ours is larger, and in 4:2:0. Both are read.
    const bool own = std::string_view(kind) == "420";
    const EncodedBytes jpeg = own ? encode_jpeg(scene(size.height, size.width)) : golden_picture(std::string("jpeg_") + kind + ".jpg");
    const ImageSize full = read_jpeg_header(jpeg).size;
    std::mt19937 random(3);
    const auto draw = [&](int limit) { return 1 + static_cast<int>(random() % static_cast<unsigned>(limit)); };
    for (int i = 0; i < (own ? 150 : 20); ++i) {
      Region region{.height = draw(full.height), .width = draw(full.width)};
      region.top = draw(full.height - region.height + 1) - 1;
      region.left = draw(full.width - region.width + 1) - 1;
      const int eighths = draw(8);
      const ImageSize target{(region.height * eighths + 7) / 8, (region.width * eighths + 7) / 8};
      const Part part = decode_part(jpeg, region, target);
      const double scale = (part.box.right - part.box.left) / region.width;
      const int chosen = static_cast<int>(std::lround(scale * 8));
      EXPECT_NEAR(scale * 8, chosen, 1e-9);
      const Image whole = chosen == 8 ? decode_image(jpeg) : decode_scaled(jpeg, full, chosen);
      if (whole.size.height != (full.height * chosen + 7) / 8) continue;  // the whole picture at this scale cannot be asked for by size
      expect_inside(part, region, chosen, whole, std::string(kind) + " at " + std::to_string(chosen) + "/8, region " + std::to_string(i));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(DecodeJpegRegion, TheSmallestScaleThatCoversTheTargetIsChosen) {
  const EncodedBytes jpeg = encode_jpeg(scene(160, 240));
  struct Case {
    Region region;
    ImageSize target;
    int eighths;
  };
  const Case cases[] = {
      {{0, 0, 160, 240}, {20, 30}, 1},   {{0, 0, 160, 240}, {21, 30}, 2}, {{0, 0, 160, 240}, {20, 31}, 2},
      {{0, 0, 160, 240}, {80, 80}, 4},   {{0, 0, 160, 240}, {81, 80}, 5}, {{0, 0, 160, 240}, {160, 240}, 8},
      {{0, 0, 160, 240}, {500, 500}, 8}, {{10, 20, 80, 80}, {40, 40}, 4}, {{10, 20, 81, 83}, {64, 64}, 7},
      {{3, 5, 1, 1}, {1, 1}, 8},
  };
  for (const Case& c : cases) {
    const Part part = decode_part(jpeg, c.region, c.target);
    EXPECT_DOUBLE_EQ((part.box.right - part.box.left) * 8, c.region.width * c.eighths) << c.target.height << " x " << c.target.width;
    EXPECT_DOUBLE_EQ((part.box.bottom - part.box.top) * 8, c.region.height * c.eighths) << c.target.height << " x " << c.target.width;
  }
}

TEST(DecodeJpegRegion, OnlyTheNeighbourhoodOfTheRegionIsKept) {
  const EncodedBytes jpeg = encode_jpeg(scene(800, 800));
  const Part part = decode_part(jpeg, {400, 400, 32, 32}, {32, 32});
  EXPECT_LE(part.pixels.size.height, 32 + 8 + 16);
  EXPECT_LE(part.pixels.size.width, 32 + 8 + 16);
}

TEST(DecodeJpegRegion, MemoryIsReused) {
  const EncodedBytes jpeg = encode_jpeg(scene(160, 240));
  Part part;
  part.pixels.rgb.reserve(std::size_t{160} * 240 * 3);
  const std::uint8_t* memory = part.pixels.rgb.data();
  decode_jpeg_region(jpeg, {30, 40, 50, 60}, {50, 60}, part.pixels, part.box);
  decode_jpeg_region(jpeg, {0, 0, 160, 240}, {160, 240}, part.pixels, part.box);
  EXPECT_EQ(part.pixels.rgb.data(), memory);
}

TEST(DecodeJpegRegion, RegionsOutsideThePictureAreRefused) {
  const EncodedBytes jpeg = encode_jpeg(scene(16, 24));
  for (const Region& region : {Region{0, 0, 0, 5}, Region{0, 0, 5, 0}, Region{-1, 0, 5, 5}, Region{0, -1, 5, 5}, Region{12, 0, 5, 5},
                               Region{0, 20, 5, 5}, Region{0, 0, 17, 5}, Region{0, 0, 5, 25}}) {
    Image out;
    Box box;
    try {
      decode_jpeg_region(jpeg, region, {8, 8}, out, box);
      FAIL() << region.top << ' ' << region.left << ' ' << region.height << ' ' << region.width;
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUsage) << error.what();
    }
  }
}

TEST(DecodeJpegRegion, TruncationIsAnErrorWhereTheRegionNeedsTheData) {
  const EncodedBytes jpeg = encode_jpeg(scene(320, 320));
  const auto half = std::span(jpeg).first(jpeg.size() / 2);
  Image out;
  Box box;
  decode_jpeg_region(half, {0, 0, 64, 64}, {64, 64}, out, box);
  EXPECT_THROW(decode_jpeg_region(half, {250, 0, 64, 64}, {64, 64}, out, box), Error);
}

TEST(DecodeJpegRegion, TheHeaderIsReadWithoutDecoding) {
  const EncodedBytes jpeg = golden_picture("exif_6.jpg");
  const JpegHeader header = read_jpeg_header(std::span(jpeg).first(jpeg.size() - 10));
  EXPECT_EQ(header.size, (ImageSize{4, 6}));
  EXPECT_EQ(header.orientation, 6);
  EXPECT_EQ(header.components, 3);
  EXPECT_EQ(read_jpeg_header(golden_picture("jpeg_grey.jpg")).components, 1);
  EXPECT_EQ(read_jpeg_header(golden_picture("jpeg_cmyk.jpg")).components, 4);
  EXPECT_THROW(read_jpeg_header(std::span(jpeg).first(20)), Error);
}

}  // namespace
}  // namespace headstart::test
