// The orientation that a picture's metadata asks for, and turning pixels by it.
//
// Thread-safety: pure functions. Errors: none; damaged metadata counts as absent.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "image/decode_support.h"

namespace headstart {

// The Orientation tag (0x0112) of an EXIF block, with or without its "Exif\0\0" prefix, as stored: any 16- or 32-bit integer.
std::optional<std::uint32_t> exif_orientation(Bytes exif);

// tiff:Orientation of an XMP packet.
std::optional<std::uint32_t> xmp_orientation(Bytes xmp);

// 1..8 from what the two say: EXIF first, as Pillow's exif_transpose; 1 when absent or invalid.
int resolve_orientation(std::optional<std::uint32_t> exif, std::optional<std::uint32_t> xmp);

// Of the APP1 segments before the first scan.
int jpeg_orientation(Bytes encoded);
// Of eXIf, "Raw profile type exif" and XMP chunks, before or after the pixels.
int png_orientation(Bytes encoded);
// Of the EXIF and XMP chunks.
int webp_orientation(Bytes encoded);

// Turns the stored picture upright. `scratch` is swapped with the pixels when rows become columns, so that both memories are reused.
void apply_orientation(Image& image, int orientation, std::vector<std::uint8_t>& scratch);

}  // namespace headstart
