// probe_image, decode_image and decode_jpeg_region over arbitrary bytes: a picture or an Error(kData), nothing else. Pictures are kept
// small, so that time goes into the decoders and not into large pictures. Seeds: tests/golden/image/decode, tests/corpus/image.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "headstart/error.h"
#include "headstart/image.h"
#include "image/jpeg.h"

namespace {

constexpr std::int64_t kMaxPixels = std::int64_t{1} << 18;

// What counts as sound has the pixels of the whole picture.
void decode_sound(std::span<const std::byte> encoded, const headstart::Region& region, headstart::JpegIndex& index) {
  headstart::Image part;
  headstart::Box box;
  if (!headstart::decode_sound_jpeg_region(encoded, region, part, box, &index)) return;
  const headstart::Image whole = headstart::decode_image(encoded, {.apply_exif_orientation = false, .max_pixels = kMaxPixels});
  for (int y = 0; y < region.height; ++y) {
    const auto row = [](const headstart::Image& image, int top, int left) {
      return image.rgb.begin() + (static_cast<std::ptrdiff_t>(top) * image.size.width + left) * 3;
    };
    const auto got = row(part, static_cast<int>(box.top) + y, static_cast<int>(box.left));
    if (!std::equal(got, got + std::ptrdiff_t{3} * region.width, row(whole, region.top + y, region.left))) std::abort();
  }
}

// A region that the bytes themselves choose.
void decode_region(std::span<const std::byte> encoded) {
  const headstart::JpegHeader header = headstart::read_jpeg_header(encoded);
  if (static_cast<std::int64_t>(header.size.height) * header.size.width > kMaxPixels) return;
  const auto pick = [&](std::size_t index, int limit) { return std::to_integer<int>(encoded[index % encoded.size()]) * limit / 256; };
  headstart::Region region{.top = pick(7, header.size.height), .left = pick(11, header.size.width)};
  region.height = 1 + pick(13, header.size.height - region.top);
  region.width = 1 + pick(17, header.size.width - region.left);
  const headstart::ImageSize target{.height = 1 + pick(19, 64), .width = 1 + pick(23, 64)};
  headstart::Image out, with_index;
  headstart::Box box, box_with_index;
  headstart::decode_jpeg_region(encoded, region, target, out, box);
  if (box.left < 0 || box.top < 0 || box.right > out.size.width || box.bottom > out.size.height) std::abort();
  headstart::JpegIndex index{.keep_coefficients = pick(29, 2) == 1};
  for (int i = 0; i < 2; ++i) {  // the index is made, then used
    headstart::decode_jpeg_region(encoded, region, target, with_index, box_with_index, &index);
    if (with_index.rgb != out.rgb) std::abort();
  }
  decode_sound(encoded, region, index);
}

template <typename Function>
void expect_data_error(const Function& function) {
  try {
    function();
  } catch (const headstart::Error& error) {
    if (error.category() != headstart::ErrorCategory::kData) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto encoded = std::as_bytes(std::span(data, size));
  expect_data_error([&] { headstart::probe_image(encoded); });
  expect_data_error([&] { headstart::decode_image(encoded, {.alpha = headstart::Alpha::kFlattenOnWhite, .max_pixels = kMaxPixels}); });
  expect_data_error(
      [&] { headstart::decode_image(encoded, {.alpha = headstart::Alpha::kDrop, .clip_16_bit_grey = true, .max_pixels = kMaxPixels}); });
  if (headstart::sniff_format(encoded) == headstart::ImageFormat::kJpeg) expect_data_error([&] { decode_region(encoded); });
  return 0;
}
