#include "image/pipeline.h"

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "headstart/error.h"
#include "image/decode.h"
#include "image/orient.h"
#include "resample_testing.h"

namespace headstart::test {
namespace {

using nlohmann::json;

constexpr std::uint64_t kSeed = 42;

// A smooth picture with gentle detail, as photos have it. A plain noise picture would measure the DCT scaling of noise.
Image smooth_picture(ImageSize size) {
  Image image{.size = size, .rgb = {}};
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double wave = std::sin(x / (37.0 + 9 * c)) + std::cos(y / (29.0 - 5 * c)) + 0.3 * std::sin((x + 2 * y) / 7.0);
        image.rgb.push_back(static_cast<std::uint8_t>(std::lround(127 + 50 * wave)));
      }
    }
  }
  return image;
}

// An EXIF block with nothing but an orientation, right after the start of the JPEG.
std::vector<std::byte> with_orientation(std::vector<std::byte> jpeg, int orientation) {
  const std::uint8_t segment[] = {0xFF,
                                  0xE1,
                                  0,
                                  34,
                                  'E',
                                  'x',
                                  'i',
                                  'f',
                                  0,
                                  0,
                                  'I',
                                  'I',
                                  42,
                                  0,
                                  8,
                                  0,
                                  0,
                                  0,
                                  1,
                                  0,
                                  0x12,
                                  1,
                                  3,
                                  0,
                                  1,
                                  0,
                                  0,
                                  0,
                                  static_cast<std::uint8_t>(orientation),
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0};
  const auto bytes = std::as_bytes(std::span(segment));
  jpeg.insert(jpeg.begin() + 2, bytes.begin(), bytes.end());
  return jpeg;
}

std::size_t view_bytes(const Preprocessing& preprocessing) {
  return static_cast<std::size_t>(preprocessing.crop_size) * static_cast<std::size_t>(preprocessing.crop_size) * 3;
}

std::vector<std::uint8_t> training_view(const std::vector<std::byte>& encoded, const Preprocessing& preprocessing, bool fast,
                                        std::uint32_t epoch, std::uint32_t sample = 0) {
  Augmentation augmentation;
  augmentation.fast_decode = fast;
  Workspace workspace;
  std::vector<std::uint8_t> out(view_bytes(preprocessing));
  render_training_view({encoded}, preprocessing, augmentation, kSeed, epoch, sample, workspace, out);
  return out;
}

double mean_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

// torchvision's resized_crop and hflip step by step, with copies: the crop is a picture of its own.
Image reference_view(const Image& picture, const Region& region, bool flip, int side, Interpolation interpolation) {
  Image crop{.size = {region.height, region.width}, .rgb = {}};
  for (int y = region.top; y < region.top + region.height; ++y) {
    const auto row = picture.rgb.begin() + (static_cast<std::ptrdiff_t>(y) * picture.size.width + region.left) * 3;
    crop.rgb.insert(crop.rgb.end(), row, row + static_cast<std::ptrdiff_t>(region.width) * 3);
  }
  Image view = resize(crop, {side, side}, interpolation);
  for (int y = 0; flip && y < side; ++y) {
    for (int left = 0, right = side - 1; left < right; ++left, --right) {
      const auto pixel = [&](int x) { return view.rgb.begin() + (static_cast<std::ptrdiff_t>(y) * side + x) * 3; };
      std::swap_ranges(pixel(left), pixel(left) + 3, pixel(right));
    }
  }
  return view;
}

TEST(TrainingView, TheReferenceEqualsTorchvisionsResizedCropAndFlip) {
  for (const json& golden : resample_golden("view")) {
    const json& region = golden.at("region");
    const Image view = reference_view(golden_source(golden), {region.at(0), region.at(1), region.at(2), region.at(3)},
                                      golden.at("flip").get<bool>(), golden.at("size").get<int>(), interpolation_of(golden));
    EXPECT_EQ(short_digest(view), golden.at("sha256")) << golden;
  }
}

// Of a JPEG only the crop is made: the same bits as from the whole picture, in every orientation, whatever an index has seen before.
TEST(TrainingView, TheExactViewOfAPartEqualsThatOfTheWholePicture) {
  Preprocessing preprocessing;
  preprocessing.crop_size = 48;
  Augmentation augmentation;
  augmentation.fast_decode = false;
  Workspace workspace;
  std::vector<std::uint8_t> part(view_bytes(preprocessing)), whole(part.size());
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const std::vector<std::byte> jpeg = with_orientation(encode_jpeg(smooth_picture({143, 210}), 90), orientation);
    const Image picture = decode_image(jpeg);
    JpegIndex index{.keep_coefficients = orientation % 2 == 0};
    for (std::uint32_t epoch = 0; epoch < 10; ++epoch) {
      render_training_view({jpeg, &index}, preprocessing, augmentation, kSeed, epoch, 0, workspace, part);
      render_training_view(picture, preprocessing, augmentation, kSeed, epoch, 0, workspace, whole);
      ASSERT_TRUE(part == whole) << "orientation " << orientation << ", epoch " << epoch;
    }
    EXPECT_TRUE(index.complete);
  }
}

TEST(TrainingView, TheExactViewEqualsTheReference) {
  const std::vector<std::byte> pictures[] = {encode_png(noise_picture({90, 120})), encode_jpeg(smooth_picture({150, 100}), 90),
                                             with_orientation(encode_jpeg(smooth_picture({77, 130}), 90), 6),
                                             encode_png(noise_picture({1, 3}))};
  int flips = 0;
  for (const auto& encoded : pictures) {
    for (std::uint32_t epoch = 0; epoch < 12; ++epoch) {
      Preprocessing preprocessing;
      preprocessing.crop_size = 48;
      preprocessing.interpolation = epoch % 2 == 0 ? Interpolation::kBilinear : Interpolation::kBicubic;
      const Image upright = decode_image(encoded);
      const CropDraw draw = draw_augmentation(upright.size, {}, kSeed, epoch, 0);
      flips += draw.flip ? 1 : 0;
      EXPECT_EQ(training_view(encoded, preprocessing, false, epoch),
                reference_view(upright, draw.region, draw.flip, 48, preprocessing.interpolation).rgb);
    }
  }
  EXPECT_GT(flips, 5);
  EXPECT_LT(flips, 43);
}

TEST(TrainingView, FormatsOtherThanJpegAreExactInFastModeToo) {
  const auto encoded = encode_png(noise_picture({300, 200}));
  Preprocessing preprocessing;
  preprocessing.crop_size = 40;
  for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
    EXPECT_EQ(training_view(encoded, preprocessing, true, epoch), training_view(encoded, preprocessing, false, epoch));
  }
}

// Crops smaller than twice the view are decoded at full resolution, where the two ways meet bit for bit.
TEST(TrainingView, FastAndExactAreEqualWhereNothingIsScaled) {
  const auto encoded = encode_jpeg(noise_picture({200, 260}), 90);
  for (const Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
    Preprocessing preprocessing;
    preprocessing.crop_size = 224;
    preprocessing.interpolation = interpolation;
    for (std::uint32_t epoch = 0; epoch < 10; ++epoch) {
      EXPECT_EQ(training_view(encoded, preprocessing, true, epoch), training_view(encoded, preprocessing, false, epoch)) << epoch;
    }
  }
}

// docs/pixels.md states the bound: a mean difference of at most 6 of 255 in any view, 1 on average.
constexpr double kViewBound = 6.0, kAverageBound = 1.0;

TEST(TrainingView, FastStaysWithinItsBoundInAllOrientations) {
  const auto jpeg = encode_jpeg(smooth_picture({420, 610}), 92);
  for (int orientation = 0; orientation <= 9; ++orientation) {  // 0 and 9 are invalid: as 1
    const auto encoded = with_orientation(jpeg, orientation);
    for (const Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
      Preprocessing preprocessing;
      preprocessing.crop_size = 64;  // halves, quarters and eighths take part
      preprocessing.interpolation = interpolation;
      double sum = 0;
      constexpr int kViews = 16;
      for (std::uint32_t epoch = 0; epoch < kViews; ++epoch) {
        const double difference =
            mean_difference(training_view(encoded, preprocessing, true, epoch), training_view(encoded, preprocessing, false, epoch));
        EXPECT_TRUE(difference <= kViewBound) << difference << " at orientation " << orientation;
        sum += difference;
      }
      EXPECT_TRUE(sum / kViews <= kAverageBound) << sum / kViews << " at orientation " << orientation;
    }
  }
}

TEST(TrainingView, OrientationIsLeftAloneWhereSoAsked) {
  const auto jpeg = encode_jpeg(smooth_picture({300, 400}), 92);
  Preprocessing preprocessing;
  preprocessing.crop_size = 64;
  preprocessing.decode.apply_exif_orientation = false;
  for (const bool fast : {false, true}) {
    EXPECT_EQ(training_view(with_orientation(jpeg, 6), preprocessing, fast, 3), training_view(jpeg, preprocessing, fast, 3));
  }
  preprocessing.decode.apply_exif_orientation = true;
  EXPECT_NE(training_view(with_orientation(jpeg, 6), preprocessing, true, 3), training_view(jpeg, preprocessing, true, 3));
}

TEST(TrainingView, AWorkspaceCarriesNothingFromPhotoToPhoto) {
  const std::vector<std::byte> photos[] = {encode_jpeg(smooth_picture({420, 610}), 92), encode_png(noise_picture({50, 60})),
                                           with_orientation(encode_jpeg(smooth_picture({610, 420}), 92), 8)};
  Preprocessing preprocessing;
  preprocessing.crop_size = 64;
  Workspace workspace;
  std::vector<std::uint8_t> out(view_bytes(preprocessing));
  for (std::uint32_t i = 0; i < 12; ++i) {
    render_training_view({photos[i % 3]}, preprocessing, {}, kSeed, i, 0, workspace, out);
    EXPECT_EQ(out, training_view(photos[i % 3], preprocessing, true, i)) << i;
  }
}

TEST(TrainingView, DamagedAndOversizedPhotosAreRefused) {
  auto encoded = encode_jpeg(smooth_picture({420, 610}), 92);
  Preprocessing preprocessing;
  preprocessing.crop_size = 64;
  preprocessing.decode.max_pixels = 1000;
  EXPECT_THROW(training_view(encoded, preprocessing, true, 0), Error);
  EXPECT_THROW(training_view(encoded, preprocessing, false, 0), Error);
  preprocessing.decode.max_pixels = 1'000'000;
  encoded.resize(encoded.size() / 4);
  EXPECT_THROW(training_view(encoded, preprocessing, false, 0), Error);
  EXPECT_THROW(training_view({}, preprocessing, true, 0), Error);
  encoded.resize(20);
  EXPECT_THROW(training_view(encoded, preprocessing, true, 0), Error);
}

TEST(TrainingView, ATargetOfAnotherSizeIsRefused) {
  const auto encoded = encode_png(noise_picture({50, 60}));
  Workspace workspace;
  Preprocessing preprocessing;
  std::vector<std::uint8_t> out(view_bytes(preprocessing) - 1);
  EXPECT_THROW(render_training_view({encoded}, preprocessing, {}, 1, 0, 0, workspace, out), Error);
  EXPECT_THROW(render_evaluation_view(encoded, preprocessing, workspace, out), Error);
  preprocessing.crop_size = 0;
  EXPECT_THROW(render_training_view({encoded}, preprocessing, {}, 1, 0, 0, workspace, {}), Error);
}

TEST(EvaluationView, IsPreprocessOfTheDecodedPicture) {
  for (const auto& encoded : {encode_png(noise_picture({90, 120})), with_orientation(encode_jpeg(smooth_picture({300, 200}), 92), 5)}) {
    Preprocessing preprocessing;
    preprocessing.resize_size = 72;
    preprocessing.crop_size = 64;
    Workspace workspace;
    std::vector<std::uint8_t> out(view_bytes(preprocessing)), from_picture = out;
    render_evaluation_view(encoded, preprocessing, workspace, out);
    render_evaluation_view(decode_image(encoded), preprocessing, workspace, from_picture);
    EXPECT_EQ(out, preprocess(decode_image(encoded), preprocessing).rgb);
    EXPECT_EQ(from_picture, out);
  }
}

TEST(TrainingView, FastStaysWithinItsBoundOnPhotos) {
  const auto folder = shared_dir() / "data/hotdog/train";
  HEADSTART_SKIP_WITHOUT(folder);
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  double sum = 0;
  int views = 0;
  for (std::size_t i = 0; i < paths.size(); i += paths.size() / 40 + 1) {
    std::vector<std::byte> encoded;
    read_file(paths[i], encoded);
    for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
      Preprocessing preprocessing;
      preprocessing.crop_size = epoch % 2 == 0 ? 224 : 128;  // the second scales most crops down
      preprocessing.interpolation = epoch < 2 ? Interpolation::kBilinear : Interpolation::kBicubic;
      const auto sample = static_cast<std::uint32_t>(i);
      const double difference = mean_difference(training_view(encoded, preprocessing, true, epoch, sample),
                                                training_view(encoded, preprocessing, false, epoch, sample));
      EXPECT_TRUE(difference <= kViewBound) << difference << " on " << paths[i];
      sum += difference;
      ++views;
    }
  }
  EXPECT_TRUE(sum / views <= kAverageBound) << sum / views;
}

// Pixel by pixel against EXIF's definition: where row 0 and column 0 of the stored picture are shown.
TEST(Orientation, StoredRegionsFollowExif) {
  const ImageSize stored{6, 9};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const ImageSize size = oriented_size(stored, orientation);
    EXPECT_EQ(size.height, orientation >= 5 ? 9 : 6);
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        const int down = size.height - 1 - y, right = size.width - 1 - x;
        const int expected[][2] = {{y, x}, {y, right}, {down, right}, {down, x}, {x, y}, {right, y}, {right, down}, {x, down}};
        const Region region = stored_region({y, x, 1, 1}, stored, orientation);
        EXPECT_EQ(region.top, expected[orientation - 1][0]) << orientation << ": " << y << " " << x;
        EXPECT_EQ(region.left, expected[orientation - 1][1]) << orientation << ": " << y << " " << x;
      }
    }
    const Region part = stored_region({1, 2, 3, 4}, stored, orientation);
    EXPECT_EQ(part.height, orientation >= 5 ? 4 : 3);
    EXPECT_EQ(part.width, orientation >= 5 ? 3 : 4);
  }
}

}  // namespace
}  // namespace headstart::test
