// OpenCV's bilinear resize of 8-bit pictures: no antialiasing, each output pixel made of four source pixels.
//
// The arithmetic is that of cv::resize(INTER_LINEAR) (OpenCV 4 and 5, imgproc/src/resize.cpp): half-pixel centres in float32, weights of 11
// bits, the rows mixed first; a shift by 4, a high half of a product, and a rounding shift by 2 end it.
// Thread-safety: pure; a scratch belongs to one thread. Errors: none; the caller has checked the job.
#pragma once

#include <cstdint>
#include <vector>

#include "image/region.h"

namespace headstart {

struct RgbView;
struct RgbSpan;
struct ResizeJob;

// Where an output sample comes from: two source samples and their weights, which sum to about 2^11.
struct OpenCvTap {
  int first = 0, second = 0;
  std::int32_t first_weight = 0, second_weight = 0;
};

struct OpenCvScratch {
  std::vector<OpenCvTap> columns;
  std::vector<std::int32_t> rows[2];  // horizontally resized source rows
  int row_numbers[2] = {-1, -1};
};

// The window `window` of the job's result. Bit-equal to OpenCV where the box is a whole number of pixels.
void resize_as_opencv(const RgbView& source, const ResizeJob& job, const Region& window, OpenCvScratch& scratch, const RgbSpan& out);

}  // namespace headstart
