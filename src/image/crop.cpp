#include "image/crop.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "headstart/error.h"

namespace headstart {
namespace {

// Along one axis: the wanted part of the resized picture and its place in the crop.
struct Interval {
  int first, count, place;
};

Interval center(int resized, int crop) {
  if (resized < crop) return {0, resized, (crop - resized) / 2};
  return {static_cast<int>(round_half_even((resized - crop) / 2.0)), crop, 0};
}

}  // namespace

double round_half_even(double value) {
  const double below = std::floor(value);
  const double rest = value - below;
  if (rest != 0.5) return rest > 0.5 ? below + 1 : below;
  return std::fmod(below, 2.0) == 0.0 ? below : below + 1;
}

ImageSize resized_size(ImageSize picture, const Preprocessing& preprocessing) {
  const int wanted = preprocessing.resize_size;
  if (picture.height <= 0 || picture.width <= 0 || wanted <= 0 || preprocessing.crop_size <= 0) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("preprocess: the picture ({}x{} pixels), resize_size ({}) and crop_size ({}) must be positive", picture.width,
                            picture.height, wanted, preprocessing.crop_size));
  }
  if (preprocessing.resize_mode == ResizeMode::kSquash) return {wanted, wanted};
  const bool portrait = picture.width <= picture.height;
  const std::int64_t shorter = portrait ? picture.width : picture.height, longer = portrait ? picture.height : picture.width;
  const double length = static_cast<double>(wanted * longer) / static_cast<double>(shorter);
  if (!(length <= std::numeric_limits<int>::max())) {
    throw Error(ErrorCategory::kData,
                fmt::format("preprocess: a picture of {}x{} pixels is too elongated to be resized to {} pixels on its shorter side",
                            picture.width, picture.height, wanted));
  }
  const int long_side = static_cast<int>(length);
  return portrait ? ImageSize{.height = long_side, .width = wanted} : ImageSize{.height = wanted, .width = long_side};
}

CenterCrop center_crop(ImageSize resized, int crop_size) {
  const Interval rows = center(resized.height, crop_size), columns = center(resized.width, crop_size);
  return {.of_resized = {.top = rows.first, .left = columns.first, .height = rows.count, .width = columns.count},
          .top = rows.place,
          .left = columns.place};
}

}  // namespace headstart
