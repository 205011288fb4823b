#include "image/resample.h"

#include "headstart/error.h"
#include "image/resample_kernels.h"
#include "resample_testing.h"

namespace headstart::test {
namespace {

using nlohmann::json;

Image resize_job(const Image& image, const ResizeJob& job, ResampleScratch& scratch) {
  const Region window = job.window.value_or(Region{0, 0, job.size.height, job.size.width});
  const auto stride = static_cast<std::size_t>(window.width) * 3;
  Image out{.size = {window.height, window.width}, .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(window.height) * stride)};
  resize_into(view_of(image), job, scratch, {out.rgb.data(), out.size, stride});
  return out;
}

ResizeJob job_of(const json& golden_case) {
  return {.box = box_of(golden_case.at("box")),
          .size = size_of(golden_case.at("size")),
          .interpolation = interpolation_of(golden_case),
          .pass_order = golden_case.at("order") == "pillow13" ? PassOrder::kPillow13 : PassOrder::kHorizontalFirst};
}

// Leaves all targets allowed, whatever happens in between.
class OnlyTarget {
 public:
  explicit OnlyTarget(std::int64_t target) { use_simd_target(target); }
  ~OnlyTarget() { use_simd_target(0); }
  OnlyTarget(const OnlyTarget&) = delete;
  OnlyTarget& operator=(const OnlyTarget&) = delete;
};

Box whole(const Image& image) { return {0, 0, static_cast<double>(image.size.width), static_cast<double>(image.size.height)}; }

std::string pixels_of(const Image& image, const Region& region) {
  std::string bytes;
  for (int y = region.top; y < region.top + region.height; ++y) {
    const std::uint8_t* row = image.rgb.data() + (y * image.size.width + region.left) * 3;
    bytes.append(row, row + region.width * 3);
  }
  return bytes;
}

std::string pixels_of(const Image& image) { return pixels_of(image, {0, 0, image.size.height, image.size.width}); }

TEST(Resample, EqualsPillowsGoldenValuesOnEveryTarget) {
  const json cases = resample_golden("resize");
  ASSERT_GE(cases.size(), 100U);
  const auto targets = simd_targets();
  ASSERT_FALSE(targets.empty());
  for (const std::int64_t target : targets) {
    const OnlyTarget only(target);
    ResampleScratch scratch;
    for (const json& golden : cases) {
      const Image result = resize_job(golden_source(golden), job_of(golden), scratch);
      EXPECT_EQ(short_digest(result), golden.at("sha256")) << simd_target_name(target) << " " << golden;
      if (golden.contains("pixels")) {
        EXPECT_EQ(hex_of(result), golden.at("pixels")) << simd_target_name(target) << " " << golden;
      }
    }
  }
}

TEST(Resample, PublicResizeEqualsPillowsGoldenValues) {
  for (const json& golden : resample_golden("resize")) {
    if (golden.at("order") != "pillow13") continue;
    const Image source = golden_source(golden);
    EXPECT_EQ(short_digest(resize(source, size_of(golden.at("size")), interpolation_of(golden), box_of(golden.at("box")))),
              golden.at("sha256"))
        << golden;
  }
}

TEST(Resample, WithoutABoxTheWholePictureIsResized) {
  const Image source = noise_picture({31, 47});
  EXPECT_EQ(resize(source, {20, 60}, Interpolation::kBicubic).rgb, resize(source, {20, 60}, Interpolation::kBicubic, whole(source)).rgb);
}

TEST(Resample, SameSizeIsACopy) {
  const Image source = noise_picture({31, 47});
  EXPECT_EQ(resize(source, source.size, Interpolation::kBicubic).rgb, source.rgb);
  EXPECT_EQ(resize(source, {10, 20}, Interpolation::kBilinear, Box{3, 5, 23, 15}).rgb,
            resize(resize(source, {10, 20}, Interpolation::kBilinear, Box{3, 5, 23, 15}), {10, 20}, Interpolation::kBicubic).rgb);
}

// Long filters: more taps than the unrolled loops, beyond a vector, and kernels so long that weights round to zero.
TEST(Resample, TargetsAgreeOnLongFilters) {
  for (const ImageSize size : {ImageSize{2, 3000}, ImageSize{3000, 2}, ImageSize{1, 70000}, ImageSize{40, 900}}) {
    const Image source = noise_picture(size);
    for (const Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
      std::string first;
      for (const std::int64_t target : simd_targets()) {
        const OnlyTarget only(target);
        const std::string result = pixels_of(resize(source, {3, 3}, interpolation));
        if (first.empty()) first = result;
        EXPECT_TRUE(result == first) << simd_target_name(target) << " differs on " << size.width << "x" << size.height;
      }
    }
  }
}

TEST(Resample, AWindowIsThatPartOfTheWholeResult) {
  const Image source = noise_picture({130, 97});
  ResampleScratch scratch;
  const Region windows[] = {{0, 0, 1, 1}, {79, 149, 1, 1}, {13, 22, 40, 70}, {0, 100, 80, 50}, {60, 0, 20, 150}};
  for (const Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
    for (const ImageSize size : {ImageSize{80, 150}, ImageSize{130, 150}, ImageSize{80, 97 + 53}}) {
      ResizeJob job{.box = {1.5, 2, 96, 129.25}, .size = size, .interpolation = interpolation};
      const Image all = resize_job(source, job, scratch);
      for (const Region& window : windows) {
        job.window = window;
        EXPECT_TRUE(pixels_of(resize_job(source, job, scratch)) == pixels_of(all, window)) << window.top << " " << window.left;
      }
    }
  }
}

TEST(Resample, MirroringReversesTheResult) {
  const Image source = noise_picture({60, 45});
  ResampleScratch scratch;
  for (const Region window : {Region{0, 0, 33, 45}, Region{5, 7, 20, 31}}) {
    for (const int width : {45, 70}) {
      ResizeJob job{.box = whole(source), .size = {33, width}, .window = window};
      const Image plain = resize_job(source, job, scratch);
      job.mirror_columns = true;
      const Image mirrored = resize_job(source, job, scratch);
      job.mirror_rows = true;
      const Image turned = resize_job(source, job, scratch);
      const auto pixel = [](const Image& image, int y, int x) { return pixels_of(image, {y, x, 1, 1}); };
      for (int y = 0; y < window.height; ++y) {
        for (int x = 0; x < window.width; ++x) {
          ASSERT_EQ(pixel(mirrored, y, x), pixel(plain, y, window.width - 1 - x)) << y << " " << x;
          ASSERT_EQ(pixel(turned, y, x), pixel(plain, window.height - 1 - y, window.width - 1 - x)) << y << " " << x;
        }
      }
    }
  }
}

// The crop is a picture of its own: pixels around it must not take part, and memory behind it must not be read (AddressSanitizer sees it).
TEST(Resample, ACropViewEqualsTheCroppedPicture) {
  const Image source = noise_picture({50, 64});
  const Region region{11, 21, 39, 43};  // reaches the last byte of the picture
  Image cropped{.size = {region.height, region.width}, .rgb = {}};
  const std::string bytes = pixels_of(source, region);
  cropped.rgb.assign(bytes.begin(), bytes.end());
  ResampleScratch scratch;
  for (const ImageSize size : {ImageSize{20, 20}, ImageSize{90, 10}, ImageSize{10, 90}, ImageSize{39, 10}, ImageSize{10, 43}}) {
    Image out{.size = size, .rgb = std::vector<std::uint8_t>(static_cast<std::size_t>(size.height * size.width) * 3)};
    const ResizeJob job{.box = whole(cropped), .size = size, .interpolation = Interpolation::kBicubic};
    resize_into(crop_view(view_of(source), region), job, scratch, {out.rgb.data(), size, static_cast<std::size_t>(size.width) * 3});
    EXPECT_EQ(out.rgb, resize(cropped, size, Interpolation::kBicubic).rgb) << size.width << "x" << size.height;
  }
}

TEST(Resample, WritesOnlyTheRowsOfTheTarget) {
  const Image source = noise_picture({40, 40});
  constexpr std::size_t kStride = 80;
  for (const ImageSize size : {ImageSize{9, 21}, ImageSize{40, 22}, ImageSize{7, 23}, ImageSize{8, 4}}) {
    std::vector<std::uint8_t> memory(kStride * 41, 0xAB);
    ResampleScratch scratch;
    resize_into(view_of(source), {.box = whole(source), .size = size}, scratch, {memory.data(), size, kStride});
    const auto row_bytes = static_cast<std::size_t>(size.width) * 3;
    for (std::size_t i = 0; i < memory.size(); ++i) {
      const bool inside = i / kStride < static_cast<std::size_t>(size.height) && i % kStride < row_bytes;
      ASSERT_TRUE(inside || memory[i] == 0xAB) << "byte " << i % kStride << " of row " << i / kStride;
    }
  }
}

TEST(Resample, AScratchIsReusedWithoutAllocation) {
  const Image large = noise_picture({300, 400}), small = noise_picture({200, 150});
  ResampleScratch scratch;
  resize_job(large, {.box = whole(large), .size = {224, 224}, .interpolation = Interpolation::kBicubic}, scratch);
  const auto* middle = scratch.middle.data();
  const auto* pointers = scratch.row_pointers.data();
  const auto* weights = scratch.horizontal.taps().weights;
  resize_job(small, {.box = whole(small), .size = {224, 224}}, scratch);
  EXPECT_EQ(scratch.middle.data(), middle);
  EXPECT_EQ(scratch.row_pointers.data(), pointers);
  EXPECT_EQ(scratch.horizontal.taps().weights, weights);
}

TEST(Resample, RefusesBoxesOutsideThePictureAndEmptySizes) {
  const Image source = noise_picture({20, 30});
  const auto category = [&](ImageSize size, const Box& box, const Image& picture) {
    try {
      resize(picture, size, Interpolation::kBilinear, box);
    } catch (const Error& error) {
      return static_cast<int>(error.category());
    }
    return 0;
  };
  const int usage = static_cast<int>(ErrorCategory::kUsage);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(category({5, 5}, {0, 0, 30, 20}, source), 0);
  EXPECT_EQ(category({5, 5}, {4, 4, 4, 4}, source), 0) << "Pillow accepts an empty box";
  EXPECT_EQ(category({0, 5}, {0, 0, 30, 20}, source), usage);
  EXPECT_EQ(category({5, -1}, {0, 0, 30, 20}, source), usage);
  EXPECT_EQ(category({5, 5}, {-0.5, 0, 30, 20}, source), usage);
  EXPECT_EQ(category({5, 5}, {0, 0, 30.5, 20}, source), usage);
  EXPECT_EQ(category({5, 5}, {0, 0, 30, 20.01}, source), usage);
  EXPECT_EQ(category({5, 5}, {9, 0, 8, 20}, source), usage);
  EXPECT_EQ(category({5, 5}, {nan, 0, 30, 20}, source), usage);
  EXPECT_EQ(category({5, 5}, {0, 0, 30, nan}, source), usage);
  EXPECT_EQ(category({5, 5}, {0, 0, 1e300, 20}, source), usage);
  EXPECT_EQ(category({5, 5}, {0, 0, 0, 0}, Image{}), usage);
}

}  // namespace
}  // namespace headstart::test
