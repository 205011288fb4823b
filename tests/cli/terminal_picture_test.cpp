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

// Smooth colours, far more than 256 of them.
Image gradient(int height, int width) {
  Image image{.size = {height, width}, .rgb = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.rgb.push_back(static_cast<std::uint8_t>(255 * x / (width - 1)));
      image.rgb.push_back(static_cast<std::uint8_t>(255 * y / (height - 1)));
      image.rgb.push_back(static_cast<std::uint8_t>(128 + 100 * std::sin(0.05 * (x + y))));
    }
  }
  return image;
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

// 256 colours for a whole cube: single pixels are off, the eye's mean over a few of them is not.
TEST(TerminalPicture, ASixelPictureOfManyColoursIsDitheredToTheRightMeans) {
  const Image image = gradient(96, 128);
  const SixelPicture picture = decode_sixel(cli::sixel_text(image));
  EXPECT_EQ(picture.image.size, image.size);
  EXPECT_TRUE(picture.complete);
  EXPECT_GT(picture.colours, 128U);
  EXPECT_LE(picture.colours, 256U);
  constexpr int kBlock = 8;
  int worst = 0;
  for (int top = 0; top < 96; top += kBlock) {
    for (int left = 0; left < 128; left += kBlock) {
      for (int c = 0; c < 3; ++c) {
        double difference = 0;
        for (int y = top; y < top + kBlock; ++y) {
          for (int x = left; x < left + kBlock; ++x) {
            const auto at = static_cast<std::size_t>((y * 128 + x) * 3 + c);
            difference += picture.image.rgb[at] - image.rgb[at];
            worst = std::max(worst, std::abs(picture.image.rgb[at] - image.rgb[at]));
          }
        }
        // 256 colours are means of boxes about 30 wide: the picture's corners lie outside of them all, by up to 15 halved by the block's
        // other pixels; without dithering half a box is missed anywhere.
        const double mean = difference / (kBlock * kBlock);
        EXPECT_TRUE(std::abs(mean) <= 10) << top << ' ' << left << ' ' << c << ": " << mean;
      }
    }
  }
  EXPECT_LE(worst, 96);  // three boxes: no pixel is of a quite different colour
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
