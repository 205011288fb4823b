// Resizing into memory that the caller keeps: windows of a resize, mirrored where wanted, without a copy of the whole result.
//
// Thread-safety: pure functions; a ResampleScratch belongs to one thread. Ownership: views borrow. Errors: Error(kUsage) for a box outside
// the picture or sizes that are not positive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "headstart/image.h"
#include "image/region.h"
#include "image/resample_axis.h"
#include "image/resample_opencv.h"

namespace headstart {

// Borrowed RGB u8 pixels; row y begins at data + y * stride and holds 3 * size.width bytes. Bytes between rows may be read, never written.
struct RgbView {
  const std::uint8_t* data = nullptr;
  ImageSize size;
  std::size_t stride = 0;
};

struct RgbSpan {
  std::uint8_t* data = nullptr;
  ImageSize size;
  std::size_t stride = 0;
};

RgbView view_of(const Image& image);

// The part of a view that `region` names; it must lie inside.
RgbView crop_view(const RgbView& view, const Region& region);

// Which pass comes first decides roundings, so results differ in a few last bits.
enum class PassOrder {
  kPillow13,         // vertical first where the height shrinks by more than twice the pixels of the width, as Pillow since 13.0
  kHorizontalFirst,  // as Pillow before
};

struct ResizeJob {
  Box box;         // of the source, as Pillow's
  ImageSize size;  // of the whole result
  Interpolation interpolation = Interpolation::kBilinear;
  std::optional<Region> window;  // the part of the result that is wanted; all of it when empty
  bool mirror_columns = false;   // the window's columns in descending order: a horizontal flip
  bool mirror_rows = false;
  PassOrder pass_order = PassOrder::kPillow13;
};

// Scratch memory that makes repeated resizes free of allocations. The weights of the last job are kept for the next one like it.
struct ResampleScratch {
  ResampleAxis horizontal, vertical;
  std::vector<std::uint8_t> middle;  // the picture after the first pass
  std::vector<std::uint8_t> padded;  // copies of the last source rows, with room to read past their ends
  std::vector<const std::uint8_t*> row_pointers;
  OpenCvScratch opencv;
};

// Bit-equal to the window of Pillow's Image.resize(size, interpolation, box), or of OpenCV's cv::resize of the box. out.size is that of the
// window.
void resize_into(const RgbView& source, const ResizeJob& job, ResampleScratch& scratch, const RgbSpan& out);

}  // namespace headstart
