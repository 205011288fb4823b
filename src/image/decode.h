// Encoded bytes to RGB pixels in memory that is reused from photo to photo.
//
// Thread-safety: pure functions. Ownership: `encoded` is borrowed for the call. Errors: Error(kData); `out`'s pixels are then unspecified,
// its memory stays usable.
#pragma once

#include <cstddef>
#include <span>

#include "headstart/image.h"

namespace headstart {

// decode_image() into `out`: no allocation for the pixels when out.rgb's capacity is enough.
void decode_image_into(std::span<const std::byte> encoded, const DecodeOptions& options, Image& out);

}  // namespace headstart
