// What the decoders share: errors, the size check that comes before any allocation, careful reading of bytes, alpha over white.
//
// Thread-safety: pure. Errors: Error(kData).
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "headstart/error.h"
#include "headstart/image.h"

namespace headstart {

using Bytes = std::span<const std::byte>;

// "cannot decode the PNG picture: <reason>".
template <typename... Args>
[[noreturn]] void fail_decode(std::string_view format, fmt::format_string<Args...> reason, Args&&... args) {
  throw Error(ErrorCategory::kData,
              fmt::format("cannot decode the {} picture: {}", format, fmt::format(reason, std::forward<Args>(args)...)));
}

// Refuses sizes that are not positive, exceed the limit or do not fit an int; to be called with header values before memory is taken.
inline void check_picture_size(std::string_view format, std::int64_t height, std::int64_t width, std::int64_t max_pixels) {
  constexpr std::int64_t kMaxSide = std::numeric_limits<std::int32_t>::max() / 8;
  if (height <= 0 || width <= 0) fail_decode(format, "its header says {} x {} pixels (width x height)", width, height);
  if (height > kMaxSide || width > kMaxSide || width > max_pixels / height) {
    fail_decode(format, "{} x {} pixels (width x height) are above the limit of {} pixels; raise max_pixels if the file is trusted", width,
                height, max_pixels);
  }
}

// Sizes `out` for a checked picture size; keeps its memory.
inline void resize_picture(Image& out, int height, int width) {
  out.size = {.height = height, .width = width};
  out.rgb.resize(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3);
}

inline std::uint8_t* picture_row(Image& out, int y) {
  return out.rgb.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(out.size.width) * 3;
}

inline const std::uint8_t* as_u8(Bytes bytes) { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }

// a * b / 255, rounded; Pillow's MULDIV255.
inline std::uint8_t multiply_255(unsigned a, unsigned b) {
  const unsigned product = a * b + 128;
  return static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
}

// `value` with opacity `alpha` over white; equal to Pillow's paste of a picture on white with its own alpha as the mask.
inline std::uint8_t over_white(unsigned value, unsigned alpha) {
  const unsigned sum = 255 * (255 - alpha) + value * alpha + 128;
  return static_cast<std::uint8_t>(((sum >> 8) + sum) >> 8);
}

// RGBA pixels to RGB over white.
inline void flatten_rgba_row(const std::uint8_t* rgba, std::uint8_t* rgb, int pixels) {
  for (int x = 0; x < pixels; ++x, rgba += 4, rgb += 3) {
    for (int c = 0; c < 3; ++c) rgb[c] = over_white(rgba[c], rgba[3]);
  }
}

// CMYK (255 is full ink) to RGB as Pillow converts it.
inline void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb) {
  const unsigned white = 255u - cmyk[3];
  for (int c = 0; c < 3; ++c) rgb[c] = static_cast<std::uint8_t>(white - multiply_255(cmyk[c], white));
}

// Reads integers in order and reports the end of the data as an error.
class ByteReader {
 public:
  ByteReader(std::string_view format, Bytes bytes, std::size_t position = 0) : format_(format), bytes_(bytes), position_(position) {}

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return position_ <= bytes_.size() ? bytes_.size() - position_ : 0; }
  void seek(std::size_t position) { position_ = position; }

  Bytes take(std::size_t count) {
    if (count > remaining()) fail_decode(format_, "it is truncated (its data ends after {} bytes)", bytes_.size());
    const Bytes taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }
  unsigned u8() { return std::to_integer<unsigned>(take(1)[0]); }
  unsigned u16le() {
    const auto* p = as_u8(take(2));
    return p[0] | static_cast<unsigned>(p[1]) << 8;
  }
  std::uint32_t u32le() {
    const auto* p = as_u8(take(4));
    return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 | static_cast<std::uint32_t>(p[2]) << 16 |
           static_cast<std::uint32_t>(p[3]) << 24;
  }

 private:
  std::string_view format_;
  Bytes bytes_;
  std::size_t position_;
};

inline std::uint32_t load_u32be(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 | static_cast<std::uint32_t>(p[2]) << 8 |
         static_cast<std::uint32_t>(p[3]);
}

}  // namespace headstart
