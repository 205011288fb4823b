// From TIFF samples to RGB pixels, after decompression.
//
// Thread-safety: pure functions. Ownership: buffers are borrowed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "headstart/image.h"

namespace headstart {

enum class TiffColour { kGrey, kPalette, kRgb, kCmyk };
enum class TiffAlpha { kNone, kStraight, kPremultiplied };

// How pixels are stored; samples of more than eight bits are in the machine's byte order, smaller ones packed from the high bit down.
struct TiffLayout {
  TiffColour colour = TiffColour::kGrey;
  TiffAlpha alpha = TiffAlpha::kNone;
  bool min_is_white = false;
  bool is_signed = false;
  bool is_float = false;
  int bits = 8;     // a sample
  int samples = 1;  // a pixel in one buffer: 1 when every channel has a buffer of its own
  std::array<const std::uint16_t*, 3> colour_map{};
  int colour_map_size = 0;

  int colour_channels() const { return colour == TiffColour::kRgb ? 3 : colour == TiffColour::kCmyk ? 4 : 1; }
  // Channels that the pixels depend on: the colours and, where there is one, the alpha that follows them.
  int channels() const { return colour_channels() + (alpha == TiffAlpha::kNone ? 0 : 1); }
};

// True for the combinations that unpack_tiff_row knows.
bool can_unpack(const TiffLayout& layout);

// One row. `channel[c]` points to the row's first sample of channel c: sample c of an interleaved row, or the row of plane c. (Pixels with
// samples smaller than a byte have one channel.)
void unpack_tiff_row(const TiffLayout& layout, const DecodeOptions& options, const std::array<const std::uint8_t*, 5>& channel, int pixels,
                     std::uint8_t* rgb);

}  // namespace headstart
