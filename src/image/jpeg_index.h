// What is learnt of a JPEG that is decoded again and again: its header, which render_training_view leaves here, where its parts begin, and
// its coefficients, which decode_jpeg_region and decode_sound_jpeg_region fill in. They all use it.
//
// Thread-safety: plain data, for one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "headstart/image.h"

namespace headstart {

struct JpegHeader {
  ImageSize size;       // as stored, before orientation
  int orientation = 1;  // EXIF 1..8; 1 when absent or invalid
  int components = 3;   // 1 grey, 3 colour, 4 CMYK or YCCK
};

struct JpegIndex {
  std::optional<JpegHeader> header;

  // Codes of varying length can only be read one after the other, unless it is known where one begins: the place of every fourth MCU in
  // the data, and the DC coefficients before it. It grows as far as the picture was decoded. 12 bytes a point, some 4% of a photo's file.
  struct Point {
    std::uint32_t byte = 0;  // of the scan's data
    std::uint8_t bit = 0;
    std::array<std::int16_t, 3> last_dc = {};
  };
  static constexpr std::uint32_t kStride = 4;
  std::vector<Point> points;  // points[i] is of MCU i * kStride
  bool complete = false;      // the whole scan was decoded, and was sound

  // The quantised coefficients that are not zero, which need no codes to be read: some three times the file. Of each block its DC, the
  // number of words that follow, and in these each of the others as its place in the block (6 bits, rows first) below its value (10 bits,
  // signed); the least of these values says that the true one is the next word.
  bool keep_coefficients = false;           // to be set before the first decode, by who has the memory for it
  std::vector<std::uint16_t> coefficients;  // of all MCUs, in the scan's order; empty: not kept
  std::vector<std::uint32_t> mcu_begin;     // where each MCU begins in them

  std::size_t coefficient_bytes() const {
    return coefficients.capacity() * sizeof coefficients.front() + mcu_begin.capacity() * sizeof mcu_begin.front();
  }
  void forget_coefficients() {
    coefficients = std::vector<std::uint16_t>();  // = {} would keep the memory
    mcu_begin = std::vector<std::uint32_t>();
  }
};

}  // namespace headstart
