// encode_png and encode_jpeg, through our own decoders.
#include "decode_testing.h"

namespace headstart::test {
namespace {

Image gradient(int height, int width) {
  Image image{{height, width}, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {x * 3, y * 3, (x + y) * 2}) image.rgb.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return image;
}

TEST(Encode, PngGivesThePixelsBack) {
  for (const ImageSize size : {ImageSize{1, 1}, ImageSize{1, 9}, ImageSize{9, 1}, ImageSize{41, 67}}) {
    const Image image = gradient(size.height, size.width);
    const EncodedBytes png = encode_png(image);
    EXPECT_EQ(probe_image(png).format, ImageFormat::kPng);
    EXPECT_EQ(decode_image(png).rgb, image.rgb);
  }
}

TEST(Encode, JpegGivesNearlyThePixelsBackAndQualityCostsBytes) {
  const Image image = gradient(41, 67);
  const EncodedBytes good = encode_jpeg(image, 95), poor = encode_jpeg(image, 20);
  EXPECT_LT(poor.size(), good.size());
  const Image back = decode_image(good);
  ASSERT_EQ(back.size, image.size);
  int worst = 0;
  for (std::size_t i = 0; i < image.rgb.size(); ++i) worst = std::max(worst, std::abs(back.rgb[i] - image.rgb[i]));
  EXPECT_LE(worst, 24);  // a smooth picture at quality 95, chroma at half resolution; the corners err most
}

TEST(Encode, JpegIsBaselineWithHalfChroma) {
  const EncodedBytes jpeg = encode_jpeg(gradient(16, 16));
  const std::byte frame[] = {std::byte{0xFF}, std::byte{0xC0}};
  const auto at = std::search(jpeg.begin(), jpeg.end(), std::begin(frame), std::end(frame));
  ASSERT_NE(at, jpeg.end());
  EXPECT_EQ(at[11], std::byte{0x22});
}

TEST(Encode, ImpossiblePicturesAndQualitiesAreUsageErrors) {
  const auto category = [](const auto& function) {
    try {
      function();
    } catch (const Error& error) {
      return error.category();
    }
    return ErrorCategory::kInternal;
  };
  const Image none;
  Image short_rows = gradient(3, 3);
  short_rows.rgb.pop_back();
  EXPECT_EQ(category([&] { encode_png(none); }), ErrorCategory::kUsage);
  EXPECT_EQ(category([&] { encode_jpeg(none); }), ErrorCategory::kUsage);
  EXPECT_EQ(category([&] { encode_png(short_rows); }), ErrorCategory::kUsage);
  EXPECT_EQ(category([&] { encode_jpeg(gradient(3, 3), 0); }), ErrorCategory::kUsage);
  EXPECT_EQ(category([&] { encode_jpeg(gradient(3, 3), 101); }), ErrorCategory::kUsage);
  EXPECT_EQ(category([&] { encode_jpeg(gradient(1, 70'000)); }), ErrorCategory::kUsage);
}

}  // namespace
}  // namespace headstart::test
