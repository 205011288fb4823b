// EXIF orientation as a transposition after mirroring: how regions of the picture that people see lie in the stored one.
//
// Thread-safety: pure functions. Errors: none; orientations are 1..8.
#pragma once

#include <cstdint>
#include <span>

#include "headstart/image.h"
#include "image/region.h"

namespace headstart {

// oriented(y, x) = mirrored(transposed ? (x, y) : (y, x)), where `mirrored` is the stored picture with its rows and columns mirrored as
// said.
struct OrientationSteps {
  bool mirror_rows = false;     // the stored picture upside down
  bool mirror_columns = false;  // the stored picture left to right
  bool transposed = false;      // then rows become columns
};

OrientationSteps orientation_steps(int orientation);

// Size of the oriented picture.
ImageSize oriented_size(ImageSize stored, int orientation);

// The stored rectangle that shows `region` of the oriented picture.
Region stored_region(const Region& region, ImageSize stored, int orientation);

// Its inverse: where a rectangle of a stored picture of this size lies in the oriented one.
Region upright_region(const Region& stored_rectangle, ImageSize stored, int orientation);

// Rows become columns: RGB u8 [size.height, size.width, 3] to [size.width, size.height, 3].
void transpose_rgb(std::span<const std::uint8_t> rgb, ImageSize size, std::span<std::uint8_t> out);

}  // namespace headstart
