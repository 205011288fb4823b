// What a terminal makes of the escape sequences for pictures: decoders that the encoders are tested against. They know the parts of the
// protocols that a terminal must know, not what the encoders happen to write; anything else throws.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "headstart/image.h"

namespace headstart::test {

struct SixelPicture {
  Image image;
  std::size_t colours = 0;  // that were defined
  bool complete = false;    // every pixel was set
};

// Draws a Sixel sequence (ESC P … q … ESC \), which must be all of `text`.
SixelPicture decode_sixel(const std::string& text);

struct KittyPicture {
  std::vector<std::byte> payload;        // decoded from base64
  std::vector<std::size_t> chunk_sizes;  // of base64, bytes
  std::string keys;                      // control data of the first chunk
};

// Joins the chunks of a Kitty graphics transmission, which must be all of `text`.
KittyPicture decode_kitty(const std::string& text);

}  // namespace headstart::test
