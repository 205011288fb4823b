#include "image/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "headstart/error.h"
#include "image/resample_kernels.h"

namespace headstart {
namespace {

constexpr std::size_t kAlignment = 64;  // the longest vector

std::size_t pixels_to_bytes(int pixels) { return static_cast<std::size_t>(pixels) * 3; }

Region window_of(const ResizeJob& job) { return job.window ? *job.window : Region{0, 0, job.size.height, job.size.width}; }

bool lies_inside(int first, int count, int size) { return first >= 0 && count > 0 && first <= size && count <= size - first; }

// Box edges are compared after rounding to float32, as Pillow receives them.
bool box_side_fits(double begin, double end, int size) {
  const auto b = static_cast<float>(begin), e = static_cast<float>(end);
  return b >= 0 && e >= b && e <= static_cast<float>(size);
}

void check(const RgbView& source, const ResizeJob& job, const RgbSpan& out) {
  const ImageSize from = source.size, to = job.size;
  if (from.height <= 0 || from.width <= 0 || to.height <= 0 || to.width <= 0) {
    throw Error(ErrorCategory::kUsage, fmt::format("resize: cannot make {}x{} pixels (width x height) of {}x{}: all sides must be positive",
                                                   to.width, to.height, from.width, from.height));
  }
  const Box& box = job.box;
  if (!box_side_fits(box.left, box.right, from.width) || !box_side_fits(box.top, box.bottom, from.height)) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("resize: the box ({}, {}, {}, {}) (left, top, right, bottom) is not inside the picture of {}x{} pixels",
                            box.left, box.top, box.right, box.bottom, from.width, from.height));
  }
  const Region window = window_of(job);
  if (!lies_inside(window.top, window.height, to.height) || !lies_inside(window.left, window.width, to.width) ||
      out.size != ImageSize{window.height, window.width}) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("resize: the window {}x{} at ({}, {}) does not fit the result of {}x{} or the target of {}x{} pixels",
                            window.width, window.height, window.left, window.top, to.width, to.height, out.size.width, out.size.height));
  }
}

AxisRequest horizontal_request(const RgbView& source, const ResizeJob& job) {
  const Region window = window_of(job);
  return {.source_size = source.size.width,
          .source_begin = static_cast<float>(job.box.left),
          .source_end = static_cast<float>(job.box.right),
          .output_size = job.size.width,
          .first = window.left,
          .count = window.width,
          .mirrored = job.mirror_columns,
          .interpolation = job.interpolation};
}

AxisRequest vertical_request(const RgbView& source, const ResizeJob& job) {
  const Region window = window_of(job);
  return {.source_size = source.size.height,
          .source_begin = static_cast<float>(job.box.top),
          .source_end = static_cast<float>(job.box.bottom),
          .output_size = job.size.height,
          .first = window.top,
          .count = window.height,
          .mirrored = job.mirror_rows,
          .interpolation = job.interpolation};
}

bool vertical_first(const RgbView& source, const ResizeJob& job) {
  const std::int64_t fewer_rows = std::int64_t{source.size.height} - job.size.height;
  const std::int64_t fewer_columns = std::int64_t{source.size.width} - job.size.width;
  return job.pass_order == PassOrder::kPillow13 && fewer_rows > 0 && fewer_rows > fewer_columns * 2;
}

// Pointers to the wanted source rows, from column `left` on.
void point_at_rows(const RgbView& source, int left, ResampleScratch& scratch) {
  scratch.row_pointers.clear();
  for (int row = scratch.vertical.begin(); row < scratch.vertical.end(); ++row) {
    scratch.row_pointers.push_back(source.data + static_cast<std::size_t>(row) * source.stride + pixels_to_bytes(left));
  }
}

// Pointers to the wanted source rows, each readable for `needed` bytes: rows too near to the end of the picture's memory are copied.
void point_at_padded_rows(const RgbView& source, std::size_t needed, ResampleScratch& scratch) {
  point_at_rows(source, 0, scratch);
  const std::size_t row_bytes = pixels_to_bytes(source.size.width);
  const std::uint8_t* end = source.data + static_cast<std::size_t>(source.size.height - 1) * source.stride + row_bytes;
  auto& rows = scratch.row_pointers;
  std::size_t readable = rows.size();
  while (readable > 0 && needed > static_cast<std::size_t>(end - rows[readable - 1])) --readable;
  const std::size_t stride = std::max(needed, row_bytes);
  scratch.padded.assign((rows.size() - readable) * stride, 0);
  for (std::size_t i = readable; i < rows.size(); ++i) {
    std::uint8_t* copy = scratch.padded.data() + (i - readable) * stride;
    std::memcpy(copy, rows[i], row_bytes);
    rows[i] = copy;
  }
}

// Room for the picture between the passes: rows that are aligned and readable a little past their end.
RgbSpan middle_picture(ImageSize size, std::size_t row_bytes, ResampleScratch& scratch) {
  const std::size_t stride = (row_bytes + kAlignment - 1) / kAlignment * kAlignment;
  scratch.middle.resize(static_cast<std::size_t>(size.height) * stride + kAlignment);
  const auto misalignment = reinterpret_cast<std::uintptr_t>(scratch.middle.data()) % kAlignment;
  return {scratch.middle.data() + (kAlignment - misalignment) % kAlignment, size, stride};
}

void point_at_picture(const RgbSpan& picture, ResampleScratch& scratch) {
  scratch.row_pointers.clear();
  for (int row = 0; row < picture.size.height; ++row) {
    scratch.row_pointers.push_back(picture.data + static_cast<std::size_t>(row) * picture.stride);
  }
}

// From scratch.row_pointers, which begin at column first_column.
void horizontal_pass(ResampleScratch& scratch, int first_column, const RgbSpan& out) {
  resample_rows(scratch.row_pointers.data(), scratch.row_pointers.size(), first_column, scratch.horizontal.taps(), out.data, out.stride);
}

// From scratch.row_pointers, the rows from vertical.begin() on.
void vertical_pass(ResampleScratch& scratch, const RgbSpan& out) {
  const AxisTaps taps = scratch.vertical.taps();
  auto& rows = scratch.row_pointers;
  rows.resize(rows.size() + static_cast<std::size_t>(taps.pairs) * 2, rows.back());
  resample_columns(rows.data(), scratch.vertical.begin(), taps, pixels_to_bytes(out.size.width), out.data, out.stride);
}

void horizontal_then_vertical(const RgbView& source, ResampleScratch& scratch, const RgbSpan& out) {
  point_at_padded_rows(source, readable_row_bytes(scratch.horizontal.taps(), 0), scratch);
  const ImageSize size{.height = scratch.vertical.end() - scratch.vertical.begin(), .width = out.size.width};
  const RgbSpan middle = middle_picture(size, pixels_to_bytes(size.width), scratch);
  horizontal_pass(scratch, 0, middle);
  point_at_picture(middle, scratch);
  vertical_pass(scratch, out);
}

void vertical_then_horizontal(const RgbView& source, ResampleScratch& scratch, const RgbSpan& out) {
  const int left = scratch.horizontal.begin();
  point_at_rows(source, left, scratch);
  const ImageSize size{.height = out.size.height, .width = scratch.horizontal.end() - left};
  const std::size_t readable = std::max(readable_row_bytes(scratch.horizontal.taps(), left), pixels_to_bytes(size.width));
  const RgbSpan middle = middle_picture(size, readable, scratch);
  vertical_pass(scratch, middle);
  point_at_picture(middle, scratch);
  horizontal_pass(scratch, left, out);
}

void copy_rows(const RgbView& source, ResampleScratch& scratch, const RgbSpan& out) {
  point_at_rows(source, scratch.horizontal.begin(), scratch);
  for (std::size_t i = 0; i < scratch.row_pointers.size(); ++i) {
    std::memcpy(out.data + i * out.stride, scratch.row_pointers[i], pixels_to_bytes(out.size.width));
  }
}

}  // namespace

RgbView view_of(const Image& image) { return {image.rgb.data(), image.size, pixels_to_bytes(image.size.width)}; }

RgbView crop_view(const RgbView& view, const Region& region) {
  const std::size_t offset = static_cast<std::size_t>(region.top) * view.stride + pixels_to_bytes(region.left);
  return {view.data + offset, {region.height, region.width}, view.stride};
}

void resize_into(const RgbView& source, const ResizeJob& job, ResampleScratch& scratch, const RgbSpan& out) {
  check(source, job, out);
  if (job.interpolation == Interpolation::kOpenCvBilinear) {
    resize_as_opencv(source, job, window_of(job), scratch.opencv, out);
    return;
  }
  scratch.horizontal.prepare(horizontal_request(source, job));
  scratch.vertical.prepare(vertical_request(source, job));
  const bool horizontal = !scratch.horizontal.identity(), vertical = !scratch.vertical.identity();
  if (horizontal && vertical) {
    vertical_first(source, job) ? vertical_then_horizontal(source, scratch, out) : horizontal_then_vertical(source, scratch, out);
  } else if (horizontal) {
    point_at_padded_rows(source, readable_row_bytes(scratch.horizontal.taps(), 0), scratch);
    horizontal_pass(scratch, 0, out);
  } else if (vertical) {
    point_at_rows(source, scratch.horizontal.begin(), scratch);
    vertical_pass(scratch, out);
  } else {
    copy_rows(source, scratch, out);
  }
}

Image resize(const Image& image, ImageSize size, Interpolation interpolation, const std::optional<Box>& box) {
  const Box whole{0, 0, static_cast<double>(image.size.width), static_cast<double>(image.size.height)};
  const ResizeJob job{.box = box.value_or(whole), .size = size, .interpolation = interpolation};
  Image result;
  result.size = size;
  if (size.height > 0 && size.width > 0) result.rgb.resize(static_cast<std::size_t>(size.height) * pixels_to_bytes(size.width));
  ResampleScratch scratch;
  resize_into(view_of(image), job, scratch, {result.rgb.data(), size, pixels_to_bytes(size.width)});
  return result;
}

}  // namespace headstart
