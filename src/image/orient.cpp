#include "image/orient.h"

#include <utility>

namespace headstart {

OrientationSteps orientation_steps(int orientation) {
  switch (orientation) {
    case 2:
      return {.mirror_columns = true};
    case 3:
      return {.mirror_rows = true, .mirror_columns = true};
    case 4:
      return {.mirror_rows = true};
    case 5:
      return {.transposed = true};
    case 6:
      return {.mirror_rows = true, .transposed = true};
    case 7:
      return {.mirror_rows = true, .mirror_columns = true, .transposed = true};
    case 8:
      return {.mirror_columns = true, .transposed = true};
    default:
      return {};
  }
}

ImageSize oriented_size(ImageSize stored, int orientation) {
  if (orientation_steps(orientation).transposed) std::swap(stored.height, stored.width);
  return stored;
}

Region stored_region(const Region& region, ImageSize stored, int orientation) {
  const OrientationSteps steps = orientation_steps(orientation);
  Region result = region;
  if (steps.transposed) result = {.top = region.left, .left = region.top, .height = region.width, .width = region.height};
  if (steps.mirror_rows) result.top = stored.height - result.top - result.height;
  if (steps.mirror_columns) result.left = stored.width - result.left - result.width;
  return result;
}

Region upright_region(const Region& stored_rectangle, ImageSize stored, int orientation) {
  const OrientationSteps steps = orientation_steps(orientation);
  Region result = stored_rectangle;
  if (steps.mirror_rows) result.top = stored.height - result.top - result.height;
  if (steps.mirror_columns) result.left = stored.width - result.left - result.width;
  if (steps.transposed) result = {.top = result.left, .left = result.top, .height = result.width, .width = result.height};
  return result;
}

void transpose_rgb(std::span<const std::uint8_t> rgb, ImageSize size, std::span<std::uint8_t> out) {
  const auto height = static_cast<std::size_t>(size.height), width = static_cast<std::size_t>(size.width);
  for (std::size_t x = 0; x < width; ++x) {
    for (std::size_t y = 0; y < height; ++y) {
      const std::uint8_t* from = rgb.data() + (y * width + x) * 3;
      std::uint8_t* to = out.data() + (x * height + y) * 3;
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
}

}  // namespace headstart
