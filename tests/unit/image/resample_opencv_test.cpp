// OpenCV's bilinear resize, against OpenCV (tools/golden/resample_opencv.py).
#include <gtest/gtest.h>

#include "headstart/preprocess.h"
#include "image/crop.h"
#include "image/pipeline.h"
#include "image/resample.h"
#include "resample_testing.h"

namespace headstart::test {
namespace {

constexpr Interpolation kOpenCv = Interpolation::kOpenCvBilinear;

Box whole(ImageSize size) { return {0, 0, static_cast<double>(size.width), static_cast<double>(size.height)}; }

nlohmann::json golden_cases() {
  std::ifstream file(source_dir() / "tests/golden/image/resample_opencv.json");
  return nlohmann::json::parse(file).at("resize");
}

Image resized(const RgbView& view, const ResizeJob& job, ImageSize size) {
  Image out{.size = size,
            .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3)};
  ResampleScratch scratch;
  resize_into(view, job, scratch, {out.rgb.data(), size, static_cast<std::size_t>(size.width) * 3});
  return out;
}

TEST(ResizeAsOpenCv, EqualsOpenCvInEveryBit) {
  const auto cases = golden_cases();
  ASSERT_GE(cases.size(), 200U);
  for (const auto& golden : cases) {
    const Image source = golden_source(golden);
    const auto region = golden.at("region").get<std::array<int, 4>>();
    const RgbView crop = crop_view(view_of(source), {region[0], region[1], region[2], region[3]});
    const ImageSize size = size_of(golden.at("size"));
    EXPECT_EQ(short_digest(resized(crop, {.box = whole(crop.size), .size = size, .interpolation = kOpenCv}, size)),
              golden.at("sha256").get<std::string>())
        << golden;
  }
}

TEST(ResizeAsOpenCv, ABoxOfWholePixelsIsACrop) {
  const Image source = noise_picture({60, 80});
  const Image crop = resized(crop_view(view_of(source), {.top = 7, .left = 5, .height = 40, .width = 31}),
                             {.box = {0, 0, 31, 40}, .size = {24, 25}, .interpolation = kOpenCv}, {24, 25});
  EXPECT_EQ(resize(source, {24, 25}, kOpenCv, Box{5, 7, 36, 47}).rgb, crop.rgb);
}

TEST(ResizeAsOpenCv, WindowsAndMirrorsArePartsOfTheWholeResult) {
  const Image source = noise_picture({61, 83});
  const ImageSize size{40, 50};
  const Image all = resize(source, size, kOpenCv);
  const Region window{.top = 3, .left = 9, .height = 20, .width = 30};
  for (const bool columns : {false, true}) {
    for (const bool rows : {false, true}) {
      const ResizeJob job{.box = whole(source.size),
                          .size = size,
                          .interpolation = kOpenCv,
                          .window = window,
                          .mirror_columns = columns,
                          .mirror_rows = rows};
      const Image part = resized(view_of(source), job, {20, 30});
      for (int y = 0; y < 20; ++y) {
        for (int x = 0; x < 30; ++x) {
          const int from_y = window.top + (rows ? 19 - y : y), from_x = window.left + (columns ? 29 - x : x);
          for (int c = 0; c < 3; ++c) {
            ASSERT_EQ(part.rgb[static_cast<std::size_t>((y * 30 + x) * 3 + c)],
                      all.rgb[static_cast<std::size_t>((from_y * size.width + from_x) * 3 + c)]);
          }
        }
      }
    }
  }
}

TEST(ResizeAsOpenCv, OddBoxesStayInsideThePicture) {
  // The sanitizers judge this one: an empty box, one at the far edge, one of fractions.
  const Image source = noise_picture({10, 12});
  for (const Box& box :
       {Box{4, 4, 4, 4}, Box{12, 10, 12, 10}, Box{11.5, 9.25, 12, 10}, Box{0.5, 0.75, 0.6, 0.8}, Box{3.3, 2.2, 9.9, 8.8}}) {
    EXPECT_EQ(resize(source, {7, 9}, kOpenCv, box).rgb.size(), 7U * 9 * 3);
  }
  EXPECT_EQ(resize(source, source.size, kOpenCv).rgb, source.rgb);
}

// Gluon's evaluation transforms: both sides to 256, the centre of 224.
TEST(ResizeAsOpenCv, PreprocessCutsTheCentreOfTheSquashedPicture) {
  const Image source = noise_picture({300, 401});
  const Preprocessing gluon{.resize_mode = ResizeMode::kSquash, .interpolation = kOpenCv};
  const Image all = resize(source, {256, 256}, kOpenCv);
  const Image crop = preprocess(source, gluon);
  for (int y = 0; y < 224; ++y) {
    const auto expected = all.rgb.begin() + ((y + 16) * 256 + 16) * 3;
    ASSERT_TRUE(std::equal(expected, expected + 224 * 3, crop.rgb.begin() + y * 224 * 3)) << y;
  }
}

// The fast view must not be smoother than the exact one: it decodes at full scale, where pixels are equal.
TEST(ResizeAsOpenCv, TheFastTrainingViewEqualsTheExactOne) {
  const std::vector<std::byte> jpeg = encode_jpeg(waves_picture({300, 400}), 90);
  Preprocessing preprocessing{.crop_size = 48, .interpolation = kOpenCv};
  Augmentation exact{.fast_decode = false}, fast{.fast_decode = true};
  Workspace workspace;
  std::vector<std::uint8_t> a(48 * 48 * 3), b(48 * 48 * 3);
  for (std::uint32_t sample = 0; sample < 20; ++sample) {
    render_training_view({jpeg}, preprocessing, exact, 1, 0, sample, workspace, a);
    render_training_view({jpeg}, preprocessing, fast, 1, 0, sample, workspace, b);
    EXPECT_EQ(a, b) << sample;
  }
}

}  // namespace
}  // namespace headstart::test
