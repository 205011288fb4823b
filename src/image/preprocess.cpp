#include "image/preprocess.h"

#include <fmt/format.h>

#include <algorithm>

#include "headstart/error.h"
#include "image/crop.h"

namespace headstart {

void preprocess_into(const Image& image, const Preprocessing& preprocessing, ResampleScratch& scratch, std::span<std::uint8_t> out) {
  const ImageSize resized = resized_size(image.size, preprocessing);
  const auto side = static_cast<std::size_t>(preprocessing.crop_size);
  if (out.size() != side * side * 3) {
    throw Error(ErrorCategory::kInternal, fmt::format("preprocess: expected room for {0}x{0} RGB pixels, got {1} bytes", side, out.size()));
  }
  const CenterCrop crop = center_crop(resized, preprocessing.crop_size);
  const Region& window = crop.of_resized;
  if (window.height < preprocessing.crop_size || window.width < preprocessing.crop_size) std::fill(out.begin(), out.end(), std::uint8_t{0});
  const ResizeJob job{.box = {0, 0, static_cast<double>(image.size.width), static_cast<double>(image.size.height)},
                      .size = resized,
                      .interpolation = preprocessing.interpolation,
                      .window = window};
  const std::size_t stride = side * 3;
  const std::size_t place = static_cast<std::size_t>(crop.top) * stride + static_cast<std::size_t>(crop.left) * 3;
  resize_into(view_of(image), job, scratch, {out.data() + place, {window.height, window.width}, stride});
}

Image preprocess(const Image& image, const Preprocessing& preprocessing) {
  resized_size(image.size, preprocessing);  // refuses sizes that no memory should be taken for
  const auto side = static_cast<std::size_t>(preprocessing.crop_size);
  Image result{.size = {preprocessing.crop_size, preprocessing.crop_size}, .rgb = std::vector<std::uint8_t>(side * side * 3)};
  ResampleScratch scratch;
  preprocess_into(image, preprocessing, scratch, result.rgb);
  return result;
}

}  // namespace headstart
