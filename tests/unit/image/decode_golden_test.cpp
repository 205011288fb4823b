// Committed pictures of every format and layout, against the digests of Pillow's pixels (tools/golden/decode_golden.py).
#include <fstream>
#include <nlohmann/json.hpp>

#include "decode_testing.h"
#include "image/decode.h"

namespace headstart::test {
namespace {

const nlohmann::json& golden_entries() {
  static const nlohmann::json golden = [] {
    std::ifstream file(golden_pictures() / "decode.json");
    return nlohmann::json::parse(file);
  }();
  return golden.at("pictures");
}

ImageSize size_of(const nlohmann::json& entry) { return {entry.at("size")[0].get<int>(), entry.at("size")[1].get<int>()}; }

TEST(DecodeGolden, PixelsEqualPillows) {
  for (const auto& [name, entry] : golden_entries().items()) {
    const Image image = decode_image(golden_picture(name), as_pillow());
    EXPECT_EQ(image.size, size_of(entry)) << name;
    EXPECT_EQ(pixel_digest(image), entry.at("pixels").get<std::string>()) << name;
  }
}

TEST(DecodeGolden, OrientedPixelsEqualPillowsExifTranspose) {
  for (const auto& [name, entry] : golden_entries().items()) {
    DecodeOptions options = as_pillow();
    options.apply_exif_orientation = true;
    const auto expected = entry.value("upright", entry.at("pixels").get<std::string>());
    EXPECT_EQ(pixel_digest(decode_image(golden_picture(name), options)), expected) << name;
  }
}

TEST(DecodeGolden, TransparencyOverWhiteEqualsPillowsPaste) {
  int with_alpha = 0;
  for (const auto& [name, entry] : golden_entries().items()) {
    if (!entry.contains("white")) continue;
    ++with_alpha;
    const DecodeOptions options{.apply_exif_orientation = false, .alpha = Alpha::kFlattenOnWhite};
    EXPECT_EQ(pixel_digest(decode_image(golden_picture(name), options)), entry.at("white").get<std::string>()) << name;
  }
  EXPECT_GE(with_alpha, 15);
}

TEST(DecodeGolden, OpaquePicturesAreTheSameUnderEitherAlphaOption) {
  for (const auto& [name, entry] : golden_entries().items()) {
    if (entry.contains("white") || contains(name, "16bit") || contains(name, "12bit") || contains(name, "grey16") ||
        contains(name, "10bit"))
      continue;
    const DecodeOptions options{.apply_exif_orientation = false, .alpha = Alpha::kFlattenOnWhite};
    EXPECT_EQ(pixel_digest(decode_image(golden_picture(name), options)), pixel_digest(decode_image(golden_picture(name), as_pillow())))
        << name;
  }
}

TEST(DecodeGolden, ProbeSeesTheFormatAndTheStoredSize) {
  for (const auto& [name, entry] : golden_entries().items()) {
    const EncodedBytes encoded = golden_picture(name);
    const ImageInfo info = probe_image(encoded);
    const bool turned_tiff = contains(name, "tag_5") || contains(name, "tag_7");  // Pillow's size is that of the upright picture
    const ImageSize size = size_of(entry);
    EXPECT_EQ(info.size, (turned_tiff ? ImageSize{size.width, size.height} : size)) << name;
    EXPECT_FALSE(info.mode.empty()) << name;
    const std::string extension = name.substr(name.rfind('.'));
    const ImageFormat expected = extension == ".jpg"    ? ImageFormat::kJpeg
                                 : extension == ".png"  ? ImageFormat::kPng
                                 : extension == ".webp" ? ImageFormat::kWebp
                                 : extension == ".tif"  ? ImageFormat::kTiff
                                 : extension == ".bmp"  ? ImageFormat::kBmp
                                 : extension == ".gif"  ? ImageFormat::kGif
                                                        : ImageFormat::kPnm;
    EXPECT_EQ(info.format, expected) << name;
    EXPECT_EQ(sniff_format(std::span(encoded).first(32)), expected) << name;
  }
}

TEST(DecodeGolden, ReusedMemoryGivesTheSamePixels) {
  Image image;
  for (const auto& [name, entry] : golden_entries().items()) {
    decode_image_into(golden_picture(name), as_pillow(), image);
    EXPECT_EQ(image.size, size_of(entry)) << name;
    EXPECT_EQ(pixel_digest(image), entry.at("pixels").get<std::string>()) << name;
  }
}

TEST(DecodeGolden, ReusedMemoryIsNotEnlargedForAPictureThatFits) {
  Image image;
  image.rgb.reserve(1000);
  const std::uint8_t* memory = image.rgb.data();
  decode_image_into(golden_picture("jpeg_420.jpg"), {}, image);
  EXPECT_EQ(image.rgb.data(), memory);
}

// Without the option, 16-bit grey keeps its high byte, instead of being clipped at 255 as by Pillow.
TEST(DecodeGolden, SixteenBitGreyKeepsItsHighByte) {
  const EncodedBytes pgm = golden_picture("pnm_p5_16bit.pgm");
  const std::size_t count = std::size_t{9} * 10;
  const auto* samples = reinterpret_cast<const std::uint8_t*>(pgm.data()) + (pgm.size() - 2 * count);
  const Image image = decode_image(pgm);
  ASSERT_EQ(image.rgb.size(), 3 * count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(image.rgb[3 * i + c], samples[2 * i]) << "pixel " << i;
  }
  for (const char* name : {"png_c0_16bit.png", "png_grey16.png", "tiff_grey_16bit_le.tif", "pnm_p5_10bit.pgm", "tiff_grey_12bit.tif"}) {
    const Image scaled = decode_image(golden_picture(name));
    const Image clipped = decode_image(golden_picture(name), as_pillow());
    const auto white = [](const Image& picture) { return std::count(picture.rgb.begin(), picture.rgb.end(), 255); };
    EXPECT_LT(white(scaled) * 4, static_cast<std::ptrdiff_t>(scaled.rgb.size())) << name;
    EXPECT_GT(white(clipped) * 2, static_cast<std::ptrdiff_t>(clipped.rgb.size())) << name;
  }
}

TEST(DecodeGolden, ReadImageNamesTheFileInItsErrors) {
  EXPECT_EQ(read_image(golden_pictures() / "png_rgb.png").size, (ImageSize{9, 10}));
  try {
    read_image(golden_pictures() / "decode.json");
    FAIL() << "a JSON file is no picture";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kData);
    EXPECT_TRUE(contains(error.what(), "decode.json")) << error.what();
  }
  try {
    read_image(golden_pictures() / "missing.png");
    FAIL() << "a missing file is no picture";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kFile);
    EXPECT_TRUE(contains(error.what(), "missing.png")) << error.what();
  }
}

}  // namespace
}  // namespace headstart::test
