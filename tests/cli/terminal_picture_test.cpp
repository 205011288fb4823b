// The escape sequences for pictures, read back as a terminal would.
#include "terminal_picture.h"

#include <cmath>
#include <cstdlib>

#include "cli/fixture.h"
#include "cli/picture_codes.h"
#include "sixel.h"

namespace headstart::test {
namespace {

using cli::Drawing;

Image noise(int height, int width) {
  const int side = std::max(height, width);
  Image image{.size = {height, width}, .rgb = tiny_photo(1, 2, 3, side)};
  image.rgb.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
  return image;
}

constexpr int kBlock = 8;

// Colours from all over the cube, many more than 256, that hardly change within a block.
Image colour_cube(int height, int width) {
  Image image{.size = {height, width}, .rgb = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(40 + 170 * x / (width - 1)));
      image.rgb.push_back(static_cast<std::uint8_t>(40 + 170 * y / (height - 1)));
      image.rgb.push_back(static_cast<std::uint8_t>(40 + (x / kBlock * 7 + y / kBlock * 5) % 16 * 11));
    }
  }
  return image;
}

// Mean over the blocks of how far a block's mean colour is off, of 255.
double mean_block_error(const Image& a, const Image& b) {
  double sum = 0;
  int blocks = 0;
  for (int top = 0; top < a.size.height; top += kBlock) {
    for (int left = 0; left < a.size.width; left += kBlock) {
      for (int c = 0; c < 3; ++c) {
        double difference = 0;
        for (int i = 0; i < kBlock * kBlock; ++i) {
          const auto at = static_cast<std::size_t>(((top + i / kBlock) * a.size.width + left + i % kBlock) * 3 + c);
          difference += static_cast<double>(a.rgb[at]) - b.rgb[at];
        }
        sum += std::abs(difference) / (kBlock * kBlock);
        ++blocks;
      }
    }
  }
  return sum / blocks;
}

TEST(TerminalPicture, ASixelPictureOfFewColoursIsReadBackAsItWas) {
  // Colours that whole percents can say; heights that are and are not multiples of six.
  for (const int height : {1, 5, 6, 7, 13}) {
    Image image{.size = {height, 11}, .rgb = {}};
    for (int i = 0; i < height * 11; ++i) {
      for (const int percent : {i * 7 % 101, i * 3 % 2 * 100, 50})
        image.rgb.push_back(static_cast<std::uint8_t>((percent * 255 + 50) / 100));
    }
    const SixelPicture picture = decode_sixel(cli::sixel_text(image));
    EXPECT_EQ(picture.image.size, image.size);
    EXPECT_TRUE(picture.complete);
    EXPECT_TRUE(picture.image.rgb == image.rgb) << height;
  }
}

// 256 colours for a whole cube: single pixels are off, the eye's mean over a few of them hardly is.
TEST(TerminalPicture, ASixelPictureOfManyColoursIsDitheredToTheRightMeans) {
  const Image image = colour_cube(96, 128);
  const SixelPicture picture = decode_sixel(cli::sixel_text(image));
  EXPECT_EQ(picture.image.size, image.size);
  EXPECT_TRUE(picture.complete);
  EXPECT_GT(picture.colours, 128U);
  EXPECT_LE(picture.colours, 256U);
  const double error = mean_block_error(picture.image, image);
  EXPECT_TRUE(error <= 1.3) << error;  // 0.83 measured; 1.98 without the diffusion of errors
}

TEST(TerminalPicture, APlainAreaBesideAPhotoIsNotSpeckled) {
  Image image = noise(60, 80);
  image.rgb.insert(image.rgb.end(), 60 * 80 * 3, 230);
  image.size.height = 120;
  const SixelPicture picture = decode_sixel(cli::sixel_text(image));
  EXPECT_EQ(picture.colours, 256U);                                                                        // else nothing was dithered
  for (std::size_t i = 61 * 80 * 3; i < image.rgb.size(); ++i) ASSERT_EQ(picture.image.rgb[i], 230) << i;  // below the noise's last errors
}

TEST(TerminalPicture, SixelRunsAreShort) {
  const Image plain{.size = {12, 600}, .rgb = std::vector<std::uint8_t>(12 * 600 * 3, 255)};
  EXPECT_LT(cli::sixel_text(plain).size(), 80U);
}

TEST(TerminalPicture, KittyGetsThePngInChunks) {
  const std::vector<std::byte> png = encode_png(noise(90, 100));
  ASSERT_GT(png.size(), 3 * 3072U);
  const KittyPicture picture = decode_kitty(cli::kitty_text(png));
  EXPECT_TRUE(picture.payload == png);
  EXPECT_GT(picture.chunk_sizes.size(), 3U);
  for (const std::size_t size : picture.chunk_sizes) EXPECT_LE(size, 4096U);
  for (const char* const key : {"a=T", "f=100", "q=2"}) EXPECT_TRUE(says(picture.keys, key));
  // Payloads around a whole number of chunks and of base64's groups.
  for (const std::size_t size : {1U, 2U, 3U, 3071U, 3072U, 3073U, 6144U}) {
    const std::span<const std::byte> part(png.data(), size);
    const KittyPicture whole = decode_kitty(cli::kitty_text(part));
    EXPECT_TRUE(std::equal(whole.payload.begin(), whole.payload.end(), part.begin(), part.end())) << size;
    EXPECT_EQ(whole.chunk_sizes.size(), (size + 3071) / 3072);
  }
}

TEST(TerminalPicture, TheDecodersRefuseWhatIsWrong) {
  const std::string sixel = cli::sixel_text(noise(8, 8)), kitty = cli::kitty_text(encode_png(noise(8, 8)));
  EXPECT_THROW(decode_sixel(sixel.substr(0, sixel.size() - 1)), std::runtime_error);
  EXPECT_THROW(decode_sixel(sixel + "x"), std::runtime_error);
  EXPECT_THROW(decode_sixel("\x1bP0;1;0q\"1;1;1;1#0;2;0;0;0#0@@\x1b\\"), std::runtime_error);  // outside
  EXPECT_FALSE(decode_sixel("\x1bP0;1;0q\"1;1;2;1#0;2;0;0;0#0@\x1b\\").complete);
  EXPECT_THROW(decode_kitty(kitty.substr(1)), std::runtime_error);
  EXPECT_THROW(decode_kitty(kitty + kitty), std::runtime_error);
}

TEST(TerminalPicture, AnswersToDeviceAttributesAreUnderstood) {
  EXPECT_TRUE(cli::answer_names_sixel("\x1b[?62;4c"));
  EXPECT_TRUE(cli::answer_names_sixel("\x1b[?64;1;2;4;6;9;15;18;21;22c"));
  EXPECT_TRUE(cli::answer_names_sixel("typed\x1b[A\x1b[?5~\x1b[?62;22;4crest"));
  EXPECT_FALSE(cli::answer_names_sixel("\x1b[?62;22c"));
  EXPECT_FALSE(cli::answer_names_sixel("\x1b[?4;6c"));  // a class, no attribute
  EXPECT_FALSE(cli::answer_names_sixel("\x1b[?62;14;44c"));
  EXPECT_FALSE(cli::answer_names_sixel("\x1b[?62;4"));
  EXPECT_FALSE(cli::answer_names_sixel(""));
}

TEST(TerminalPicture, TheEnvironmentTellsWhatATerminalIs) {
  const auto drawing = [](const char* term, const char* program, const char* tmux, const char* window) {
    const std::pair<const char*, const char*> variables[] = {
        {"TERM", term}, {"TERM_PROGRAM", program}, {"TMUX", tmux}, {"KITTY_WINDOW_ID", window}};
    for (const auto& [name, value] : variables) *value == '\0' ? unsetenv(name) : setenv(name, value, 1);
    const Drawing found = cli::drawing_by_environment();
    for (const auto& [name, value] : variables) unsetenv(name);
    return found;
  };
  EXPECT_EQ(drawing("xterm-kitty", "", "", ""), Drawing::kKitty);
  EXPECT_EQ(drawing("xterm-256color", "", "", "3"), Drawing::kKitty);
  EXPECT_EQ(drawing("xterm-256color", "WezTerm", "", ""), Drawing::kKitty);
  EXPECT_EQ(drawing("xterm-ghostty", "", "", ""), Drawing::kKitty);
  EXPECT_EQ(drawing("xterm-256color", "", "", ""), Drawing::kAuto);
  EXPECT_EQ(drawing("screen-256color", "WezTerm", "", ""), Drawing::kAuto);
  EXPECT_EQ(drawing("xterm-256color", "", "/tmp/tmux", "3"), Drawing::kAuto);
  EXPECT_EQ(drawing("linux", "", "", ""), Drawing::kNone);
}

TEST(TerminalPicture, IsShrunkToTheWidthInProportion) {
  EXPECT_EQ(cli::shrink_to_width(noise(30, 60), 20).size, (ImageSize{10, 20}));
  EXPECT_EQ(cli::shrink_to_width(noise(30, 60), 60).size, (ImageSize{30, 60}));
  EXPECT_EQ(cli::shrink_to_width(noise(1, 60), 5).size, (ImageSize{1, 5}));
}

}  // namespace
}  // namespace headstart::test
