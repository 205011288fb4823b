// Damaged, truncated and hostile files: a picture or Error(kData) with a reason, never anything else, never much memory.
#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "decode_testing.h"
#include "image/decode.h"

namespace headstart::test {
namespace {

constexpr const char* kOneOfEach[] = {"jpeg_420.jpg",
                                      "jpeg_420_progressive.jpg",
                                      "jpeg_cmyk.jpg",
                                      "png_rgba.png",
                                      "png_palette.png",
                                      "png_c2_16bit_interlaced.png",
                                      "webp_rgb.webp",
                                      "webp_rgba_lossless.webp",
                                      "webp_animated.webp",
                                      "tiff_rgb_lzw.tif",
                                      "tiff_rgb_jpeg.tif",
                                      "tiff_rgb_tiled_le.tif",
                                      "tiff_grey_float_le.tif",
                                      "bmp_rgb.bmp",
                                      "bmp_rle4.bmp",
                                      "bmp_32bit_alpha.bmp",
                                      "pnm_p3.ppm",
                                      "pnm_p6_16bit.ppm",
                                      "gif_interlaced.gif",
                                      "gif_frame_inside_screen.gif"};

EncodedBytes bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

void put_u32le(EncodedBytes& bytes, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

TEST(DecodeDamage, FilesCutAtEveryEighthAreErrors) {
  for (const char* name : kOneOfEach) {
    const EncodedBytes whole = golden_picture(name);
    ASSERT_EQ(reason_of(whole), "") << name;
    for (std::size_t eighth = 0; eighth < 8; ++eighth) {
      const auto cut = std::span(whole).first(whole.size() * eighth / 8);
      EXPECT_NE(reason_of(cut), "") << name << " cut after " << cut.size() << " of " << whole.size() << " bytes";
    }
  }
}

TEST(DecodeDamage, FilesCutAnywhereAreNeverAnythingButErrorsOrPictures) {
  for (const char* name : kOneOfEach) {
    const EncodedBytes whole = golden_picture(name);
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 150) reason_of(std::span(whole).first(size));
  }
}

TEST(DecodeDamage, FlippedBitsAreNeverAnythingButErrorsOrPictures) {
  const DecodeOptions options{.max_pixels = 1 << 20};  // a flipped size must not take memory
  for (const char* name : kOneOfEach) {
    const EncodedBytes whole = golden_picture(name);
    std::mt19937 random(1);
    for (int i = 0; i < 300; ++i) {
      EncodedBytes damaged = whole;
      for (int flips = 1 + i % 3; flips > 0; --flips) damaged[random() % damaged.size()] ^= static_cast<std::byte>(1u << random() % 8);
      reason_of(damaged, options);
    }
  }
}

TEST(DecodeDamage, NamedCorruptionsHaveNamedReasons) {
  struct Case {
    const char* name;
    EncodedBytes encoded;
    const char* reason;
  };
  const auto changed = [](const char* file, std::size_t at, std::uint8_t value) {
    EncodedBytes bytes = golden_picture(file);
    bytes.at(at) = std::byte{value};
    return bytes;
  };
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"empty file", {}, "empty"},
      {"text", bytes_of("hello, I am no picture"), "first bytes"},
      {"BMP-like text", bytes_of("BMW cars are not bitmaps at all"), "first bytes"},
      {"JPEG start only", bytes_of("\xFF\xD8\xFF"sv), "truncated"},
      {"PNG signature only", bytes_of("\x89PNG\r\n\x1A\n"sv), "truncated"},
      {"PNG header checksum", changed("png_rgb.png", 30, 0x55), "checksum of its IHDR"},
      {"PNG colour type", changed("png_rgb.png", 25, 5), "checksum of its IHDR"},
      {"PNG chunk name", changed("png_rgb.png", 37, 1), "name"},
      {"WebP frame size", changed("webp_rgb.webp", 26, 0), "WebP"},
      {"TIFF directory outside", changed("tiff_grey_white_zero_le.tif", 6, 0xFF), "TIFF"},
      {"BMP bits a pixel", changed("bmp_rgb.bmp", 28, 7), "7 bits a pixel"},
      {"BMP compression", changed("bmp_rgb.bmp", 30, 4), "compression 4"},
      {"BMP with too few bytes for its height", changed("bmp_rgb.bmp", 22, 90), "truncated"},
      {"BMP bit fields", changed("bmp_32bit_alpha.bmp", 55, 0x77), "bit fields"},
      {"GIF without a picture", bytes_of("GIF89a\x01\0\x01\0\0\0\0;"sv), "no picture"},
      {"GIF with an empty frame", bytes_of("GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\0\0\0\0\0\x02\x00;"sv), "empty"},
      {"GIF code size", bytes_of("GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x0C\x02\x4C\x01\0;"sv), "code size 12"},
      {"PGM greatest value", bytes_of("P5 1 1 70000\nxx"), "70000"},
      {"PGM greatest value zero", bytes_of("P5 1 1 0\nxx"), "greatest value is 0"},
      {"PGM sample above the greatest", bytes_of("P2 1 1 7\n8 "), "above its greatest"},
      {"PPM size in letters", bytes_of("P6 1 x 255\nabc"), "where a number should"},
      {"PPM size of many digits", bytes_of("P6 1 99999999999999 255\nabc"), "digits"},
      {"PBM digit", bytes_of("P1 2 1 0 2"), "where 0 or 1 should"},
  };
  for (const Case& c : cases) {
    const std::string reason = reason_of(c.encoded);
    EXPECT_TRUE(contains(reason, c.reason)) << c.name << ": \"" << reason << "\" does not say \"" << c.reason << "\"";
  }
}

TEST(DecodeDamage, UnsupportedJpegProcessesAreNamed) {
  EncodedBytes jpeg = golden_picture("jpeg_444.jpg");
  const std::byte marker[] = {std::byte{0xFF}, std::byte{0xC0}};
  const auto frame = std::search(jpeg.begin(), jpeg.end(), std::begin(marker), std::end(marker));
  ASSERT_NE(frame, jpeg.end());
  const auto at = static_cast<std::size_t>(frame - jpeg.begin());
  EncodedBytes lossless = jpeg;
  lossless[at + 1] = std::byte{0xC3};
  EXPECT_TRUE(contains(reason_of(lossless), "lossless")) << reason_of(lossless);
  EncodedBytes twelve_bits = jpeg;
  twelve_bits[at + 4] = std::byte{12};
  EXPECT_TRUE(contains(reason_of(twelve_bits), "12 bits a sample")) << reason_of(twelve_bits);
}

// Sizes in the header that no file of that length can hold, or that are above the limit: refused before memory is taken.
TEST(DecodeDamage, BombsAreRefusedFromTheHeader) {
  struct Bomb {
    const char* name;
    EncodedBytes encoded;
  };
  const auto sized = [](const char* file, std::size_t height_at, std::size_t width_at) {
    EncodedBytes bytes = golden_picture(file);
    put_u32le(bytes, height_at, 60'000);
    put_u32le(bytes, width_at, 60'000);
    return bytes;
  };
  EncodedBytes jpeg = golden_picture("jpeg_420_progressive.jpg");
  for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] == std::byte{0xFF} && jpeg[i + 1] == std::byte{0xC2}) std::memset(jpeg.data() + i + 5, 0xEA, 4);  // 60138 x 60138
  }
  EncodedBytes gif = golden_picture("gif_palette.gif");
  std::memset(gif.data() + 6, 0xEA, 4);
  using namespace std::string_view_literals;
  const Bomb bombs[] = {
      {"JPEG", jpeg},
      {"GIF screen", gif},
      {"BMP", sized("bmp_rgb.bmp", 22, 18)},
      {"BMP run lengths", sized("bmp_rle4.bmp", 22, 18)},
      {"PPM", bytes_of("P6 60000 60000 255\nabc")},
      {"PBM", bytes_of("P4 60000 60000\nabc")},
      {"PNG", bytes_of("\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\xEA\x60\0\0\xEA\x60\x08\x02\0\0\0\x35\x7A\x6A\x3B"
                       "\0\0\0\0IDAT"sv)},
  };
  for (const Bomb& bomb : bombs) {
    const std::string reason = reason_of(bomb.encoded);
    EXPECT_TRUE(contains(reason, "limit") || contains(reason, "cannot hold") || contains(reason, "truncated") ||
                contains(reason, "checksum"))
        << bomb.name << ": " << reason;
  }
}

TEST(DecodeDamage, TheLimitIsTheCallersAndCountsPixels) {
  for (const char* name : kOneOfEach) {
    const EncodedBytes encoded = golden_picture(name);
    const ImageInfo info = probe_image(encoded);
    const std::int64_t pixels = std::int64_t{info.size.height} * info.size.width;
    EXPECT_EQ(reason_of(encoded, {.max_pixels = pixels}), "") << name;
    EXPECT_TRUE(contains(reason_of(encoded, {.max_pixels = pixels - 1}), "above the limit")) << name;
  }
}

// A tiny picture in a bitmap that claims within the limit, yet more than its bytes could hold.
TEST(DecodeDamage, SizesBeyondTheFilesLengthAreRefused) {
  EncodedBytes bmp = golden_picture("bmp_rle4.bmp");
  put_u32le(bmp, 18, 13'000);
  put_u32le(bmp, 22, 13'000);
  EXPECT_TRUE(contains(reason_of(bmp), "run lengths end")) << reason_of(bmp);
  EncodedBytes gif = golden_picture("gif_palette.gif");
  const auto comma = std::find(gif.begin() + 13 + 32 * 3, gif.end(), std::byte{','});
  ASSERT_NE(comma, gif.end());
  for (int i = 5; i < 9; i += 2) comma[i] = std::byte{0xC8}, comma[i + 1] = std::byte{0x32};  // 13000 x 13000
  EXPECT_TRUE(contains(reason_of(gif), "cannot hold")) << reason_of(gif);
}

TEST(DecodeDamage, ThousandsOfProgressiveScansAreRefused) {
  const EncodedBytes jpeg = golden_picture("jpeg_420_progressive.jpg");
  // The last scan, from its SOS marker up to the end marker, again and again.
  std::size_t scan = 0;
  for (std::size_t i = 0; i + 1 < jpeg.size(); ++i) {
    if (jpeg[i] == std::byte{0xFF} && jpeg[i + 1] == std::byte{0xDA}) scan = i;
  }
  ASSERT_GT(scan, 0u);
  const auto end = jpeg.end() - 2;
  EncodedBytes bomb(jpeg.begin(), end);
  for (int i = 0; i < 600; ++i) bomb.insert(bomb.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(scan), end);
  bomb.insert(bomb.end(), end, jpeg.end());
  EXPECT_TRUE(contains(reason_of(bomb), "500 scans")) << reason_of(bomb);
}

TEST(DecodeDamage, NothingIsWrittenToStandardErrorOrOutput) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  std::mt19937 random(2);
  for (const char* name : kOneOfEach) {
    const EncodedBytes whole = golden_picture(name);
    for (int i = 0; i < 40; ++i) {
      EncodedBytes damaged = whole;
      damaged[random() % damaged.size()] ^= static_cast<std::byte>(1u << random() % 8);
      reason_of(damaged, {.max_pixels = 1 << 20});
    }
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(DecodeDamage, ThreadsDecodeGoodAndDamagedFilesSideBySide) {
  std::vector<std::pair<EncodedBytes, std::string>> cases;
  for (const char* name : kOneOfEach) {
    const EncodedBytes whole = golden_picture(name);
    const EncodedBytes half(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(whole.size() / 2));
    cases.emplace_back(whole, pixel_digest(decode_image(whole)));
    cases.emplace_back(half, reason_of(half));
  }
  std::atomic<int> wrong{0};
  const auto work = [&] {
    Image image;
    for (int round = 0; round < 3; ++round) {
      for (const auto& [encoded, expected] : cases) {
        std::string got;
        try {
          decode_image_into(encoded, {}, image);
          got = pixel_digest(image);
        } catch (const Error& error) {
          got = error.what();
        }
        if (got != expected) ++wrong;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// What the fuzzer once found, and whatever else is worth keeping.
TEST(DecodeDamage, TheCorpusIsReadWithoutHarm) {
  for (const auto& path : files_below(source_dir() / "tests/corpus/image")) reason_of(read_bytes(path), {.max_pixels = 1 << 22});
}

TEST(DecodeDamage, EveryTrickyFileIsAPictureOrAClearError) {
  const auto folder = shared_dir() / "data/tricky";
  HEADSTART_SKIP_WITHOUT(folder);
  int pictures = 0, errors = 0;
  for (const auto& path : files_below(folder)) {
    const std::string reason = reason_of(read_bytes(path));
    ++(reason.empty() ? pictures : errors);
    EXPECT_TRUE(reason.empty() || reason.size() > 25) << path << ": " << reason;
  }
  EXPECT_GE(pictures, 220);
  EXPECT_GE(errors, 100);
}

}  // namespace
}  // namespace headstart::test
