// JPEG: whole pictures as Pillow decodes them, and parts of pictures at a reduced DCT scale for the fast training path.
//
// Thread-safety: pure functions. Ownership: `encoded` is borrowed for the call; `out` keeps its memory from call to call and is enlarged
// when it is too small. Errors: Error(kData) with libjpeg's reason for damaged, truncated or unsupported bytes.
#pragma once

#include <cstddef>
#include <span>

#include "headstart/image.h"
#include "image/jpeg_index.h"
#include "image/region.h"

namespace headstart {

JpegHeader read_jpeg_header(std::span<const std::byte> encoded);

// Decodes the part of a picture that shows `region` (stored coordinates at full resolution, not oriented; must lie inside the picture and
// not be empty), at the smallest DCT scale n/8 at which the region still has at least `target` pixels on each side (8/8 where it has not
// even at full resolution). Only the rows and, to the next block, the columns that the region needs are reconstructed. `out` is the decoded
// part with a margin of a few pixels around the region where the picture has them, so that a resampling filter at the region's edge sees
// its neighbours' values; `box_in_out` is the region's rectangle in `out`'s pixel units, fractions included.
//
// Pixels at 8/8 equal decode_image's wherever both exist. Like Pillow's `draft`, scaled pixels are those of libjpeg's reduced inverse DCT.
// A file that is damaged below the region's last row is not noticed. Pictures above DecodeOptions' default max_pixels are refused. An
// `index` of the file, empty at first, makes further regions cheaper; it belongs to one call at a time.
void decode_jpeg_region(std::span<const std::byte> encoded, const Region& region, ImageSize target, Image& out, Box& box_in_out,
                        JpegIndex* index = nullptr);

// The same at full resolution, for a file without any damage: all of its data are looked at, only the region's pixels are made, and they
// are those of decode_image. False where the file is damaged or of a kind that has to be decoded whole (progressive, arithmetic, several
// scans).
bool decode_sound_jpeg_region(std::span<const std::byte> encoded, const Region& region, Image& out, Box& box_in_out,
                              JpegIndex* index = nullptr);

}  // namespace headstart
