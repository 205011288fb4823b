// Where parts of a JPEG begin, for files that are decoded again and again: decode_jpeg_region fills it and uses it.
//
// Thread-safety: plain data, for one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace headstart {

// Codes of varying length can only be read one after the other, unless it is known where one begins: the place of every fourth MCU in the
// data, and the DC coefficients before it. It grows as far as the picture was decoded. 12 bytes a point, some 4% of a photo's file.
struct JpegIndex {
  struct Point {
    std::uint32_t byte = 0;  // of the scan's data
    std::uint8_t bit = 0;
    std::array<std::int16_t, 3> last_dc = {};
  };
  static constexpr std::uint32_t kStride = 4;
  std::vector<Point> points;  // points[i] is of MCU i * kStride
  bool complete = false;      // the whole scan was decoded, and was sound
};

}  // namespace headstart
