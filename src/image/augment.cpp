// Which part of a picture a training view shows: torchvision's RandomResizedCrop.get_params and RandomHorizontalFlip on headstart's own
// random streams. The order of the draws is part of what a seed means: each try takes the area, then the aspect; the try that fits takes
// the top, then the left.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "headstart/error.h"
#include "image/crop.h"
#include "image/pipeline.h"

namespace headstart {
namespace {

constexpr int kTries = 10;

void check(ImageSize size, const Augmentation& a) {
  const bool ordered = 0 < a.min_area && a.min_area <= a.max_area && a.max_area <= 1 && 0 < a.min_aspect && a.min_aspect <= a.max_aspect &&
                       std::isfinite(a.max_aspect) && 0 <= a.flip_probability && a.flip_probability <= 1;
  if (!ordered) {
    throw Error(
        ErrorCategory::kUsage,
        fmt::format(
            "augmentation: expected 0 < min_area <= max_area <= 1, 0 < min_aspect <= max_aspect and flip_probability in [0, 1], got "
            "area {} to {}, aspect {} to {}, flip_probability {}",
            a.min_area, a.max_area, a.min_aspect, a.max_aspect, a.flip_probability));
  }
  if (size.height <= 0 || size.width <= 0) {
    throw Error(ErrorCategory::kUsage, fmt::format("augmentation: a picture of {}x{} pixels has nothing to crop", size.width, size.height));
  }
}

int place(RandomStream& stream, int size, int crop) { return static_cast<int>(stream.below(static_cast<std::uint64_t>(size - crop) + 1)); }

// The largest central rectangle whose aspect is allowed. torchvision's rounding can give an empty side for a picture one pixel thin.
Region central_region(ImageSize size, const Augmentation& augmentation) {
  const double aspect = static_cast<double>(size.width) / size.height;
  int height = size.height, width = size.width;
  if (aspect < augmentation.min_aspect) height = static_cast<int>(round_half_even(width / augmentation.min_aspect));
  if (aspect > augmentation.max_aspect) width = static_cast<int>(round_half_even(height * augmentation.max_aspect));
  height = std::clamp(height, 1, size.height);
  width = std::clamp(width, 1, size.width);
  return {.top = (size.height - height) / 2, .left = (size.width - width) / 2, .height = height, .width = width};
}

Region random_region(ImageSize size, const Augmentation& augmentation, RandomStream stream) {
  const double area = static_cast<double>(size.height) * size.width;
  const double log_min = std::log(augmentation.min_aspect), log_max = std::log(augmentation.max_aspect);
  for (int i = 0; i < kTries; ++i) {
    const double target = area * stream.uniform(augmentation.min_area, augmentation.max_area);
    const double aspect = std::exp(stream.uniform(log_min, log_max));
    const double width = round_half_even(std::sqrt(target * aspect)), height = round_half_even(std::sqrt(target / aspect));
    if (0 < width && width <= size.width && 0 < height && height <= size.height) {
      const int top = place(stream, size.height, static_cast<int>(height)), left = place(stream, size.width, static_cast<int>(width));
      return {.top = top, .left = left, .height = static_cast<int>(height), .width = static_cast<int>(width)};
    }
  }
  return central_region(size, augmentation);
}

}  // namespace

CropDraw draw_augmentation(ImageSize size, const Augmentation& augmentation, std::uint64_t seed, std::uint32_t epoch,
                           std::uint32_t sample) {
  check(size, augmentation);
  CropDraw draw;
  draw.region = random_region(size, augmentation, RandomStream(seed, Purpose::kCrop, epoch, sample));
  draw.flip = RandomStream(seed, Purpose::kFlip, epoch, sample).uniform() < augmentation.flip_probability;
  return draw;
}

}  // namespace headstart
