#include "image/tiff_unpack.h"

#include <algorithm>
#include <cstring>

#include "image/decode_support.h"

namespace headstart {
namespace {

template <typename T>
T load(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The sample with this index in a row, as an unsigned number of `bits` bits.
std::uint32_t sample(const std::uint8_t* row, std::size_t index, int bits) {
  switch (bits) {
    case 8:
      return row[index];
    case 16:
      return load<std::uint16_t>(row + index * 2);
    case 32:
      return load<std::uint32_t>(row + index * 4);
    case 12: {
      const std::uint8_t* at = row + index / 2 * 3;
      return index % 2 == 0 ? static_cast<std::uint32_t>(at[0]) << 4 | at[1] >> 4 : static_cast<std::uint32_t>(at[1] & 15) << 8 | at[2];
    }
    default: {  // 1, 2, 4
      const std::size_t bit = index * static_cast<std::size_t>(bits);
      return static_cast<std::uint32_t>(row[bit / 8] >> (8 - bits - static_cast<int>(bit % 8))) & ((1u << bits) - 1);
    }
  }
}

template <typename T>
std::uint8_t clip(T value) {
  return value >= T{255} ? std::uint8_t{255} : value > T{0} ? static_cast<std::uint8_t>(value) : std::uint8_t{0};
}

// Grey of any depth to eight bits. Signed, 32-bit and float samples have no range of their own: they are clipped, as by Pillow.
std::uint8_t grey_value(const TiffLayout& layout, bool clip_16_bit, std::uint32_t raw) {
  if (layout.is_float) {
    float value;
    std::memcpy(&value, &raw, sizeof value);
    return clip(value);
  }
  if (layout.is_signed && layout.bits == 16) return clip(static_cast<std::int16_t>(raw));
  if (layout.is_signed && layout.bits == 32) return clip(static_cast<std::int32_t>(raw));
  if (layout.bits == 32 || (layout.bits > 8 && clip_16_bit)) return clip(raw);
  const auto value = static_cast<std::uint8_t>(layout.bits > 8 ? raw >> (layout.bits - 8) : raw * (255u / ((1u << layout.bits) - 1)));
  return layout.min_is_white ? static_cast<std::uint8_t>(255 - value) : value;
}

// The high byte.
std::uint8_t byte_value(const TiffLayout& layout, std::uint32_t raw) {
  return static_cast<std::uint8_t>(layout.bits == 16 ? raw >> 8 : raw);
}

void look_up(const TiffLayout& layout, std::uint32_t index, std::uint8_t* rgb) {
  const bool inside = index < static_cast<std::uint32_t>(layout.colour_map_size);
  for (std::size_t c = 0; c < 3; ++c) rgb[c] = inside ? static_cast<std::uint8_t>(layout.colour_map[c][index] >> 8) : std::uint8_t{0};
}

void apply_alpha(const TiffLayout& layout, const DecodeOptions& options, unsigned alpha, std::uint8_t* rgb) {
  for (int c = 0; c < 3; ++c) {
    if (layout.alpha == TiffAlpha::kPremultiplied) {
      rgb[c] = alpha == 0 ? std::uint8_t{0} : static_cast<std::uint8_t>(std::min(255u, rgb[c] * 255u / alpha));
    }
    if (options.alpha == Alpha::kFlattenOnWhite) rgb[c] = over_white(rgb[c], alpha);
  }
}

}  // namespace

bool can_unpack(const TiffLayout& layout) {
  const int bits = layout.bits;
  const bool whole_bytes = (bits == 8 || bits == 16) && !layout.is_float && (!layout.is_signed || bits == 8);
  if (layout.colour == TiffColour::kRgb || layout.colour == TiffColour::kCmyk) return whole_bytes;
  if (layout.alpha != TiffAlpha::kNone || layout.samples > 1) return whole_bytes;
  if (layout.colour == TiffColour::kPalette) return (bits == 1 || bits == 2 || bits == 4 || bits == 8) && !layout.is_float;
  if (layout.is_float) return bits == 32;
  return bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 12 || bits == 16 || bits == 32;
}

void unpack_tiff_row(const TiffLayout& layout, const DecodeOptions& options, const std::array<const std::uint8_t*, 5>& channel, int pixels,
                     std::uint8_t* rgb) {
  if (layout.colour == TiffColour::kRgb && layout.bits == 8 && layout.samples == 3) {
    std::memcpy(rgb, channel[0], static_cast<std::size_t>(pixels) * 3);
    return;
  }
  const auto step = static_cast<std::size_t>(layout.samples);
  const auto at = [&](int c, std::size_t x) { return sample(channel[static_cast<std::size_t>(c)], x * step, layout.bits); };
  for (std::size_t x = 0; x < static_cast<std::size_t>(pixels); ++x, rgb += 3) {
    switch (layout.colour) {
      case TiffColour::kGrey:
        rgb[0] = rgb[1] = rgb[2] = grey_value(layout, options.clip_16_bit_grey, at(0, x));
        break;
      case TiffColour::kPalette:
        look_up(layout, at(0, x), rgb);
        break;
      case TiffColour::kRgb:
        for (int c = 0; c < 3; ++c) rgb[c] = byte_value(layout, at(c, x));
        break;
      case TiffColour::kCmyk: {
        std::uint8_t ink[4];
        for (int c = 0; c < 4; ++c) ink[c] = byte_value(layout, at(c, x));
        cmyk_to_rgb(ink, rgb);
        break;
      }
    }
    if (layout.alpha != TiffAlpha::kNone) apply_alpha(layout, options, byte_value(layout, at(layout.colour_channels(), x)), rgb);
  }
}

}  // namespace headstart
