#include "image/resample_opencv.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "image/resample.h"

namespace headstart {
namespace {

constexpr float kWeightScale = 2048;

// One axis of the box, in source samples, and how many output samples it becomes.
struct Axis {
  double begin = 0, end = 0;
  int source_size = 0;
  int output_size = 0;
  bool clamps_weights = false;  // at the picture's edge; OpenCV does so for columns alone, which changes roundings
};

OpenCvTap tap_of(const Axis& axis, int output) {
  // OpenCV derives the scale from its inverse, and the position's fraction from a float.
  const double scale = 1.0 / (static_cast<double>(axis.output_size) / (axis.end - axis.begin));
  const double position = axis.begin + static_cast<double>(static_cast<float>((output + 0.5) * scale - 0.5));
  const int lowest = std::min(static_cast<int>(std::floor(axis.begin)), axis.source_size - 1);
  const int highest = std::max(lowest, std::min(static_cast<int>(std::ceil(axis.end)), axis.source_size) - 1);  // of an empty box too
  int first = static_cast<int>(std::floor(position));
  auto fraction = static_cast<float>(position - first);
  if (axis.clamps_weights && (first < lowest || first >= highest)) {
    first = first < lowest ? lowest : highest;
    fraction = 0;
  }
  // To even at a half, as cvRound.
  return {.first = std::clamp(first, lowest, highest),
          .second = std::clamp(first + 1, lowest, highest),
          .first_weight = static_cast<std::int32_t>(std::lrint((1.0F - fraction) * kWeightScale)),
          .second_weight = static_cast<std::int32_t>(std::lrint(fraction * kWeightScale))};
}

int wanted(int first, int count, bool mirrored, int index) { return mirrored ? first + count - 1 - index : first + index; }

// The source row, resized horizontally, times 2^11; computed unless it is one of the last two.
const std::int32_t* wide_row(const RgbView& source, int number, OpenCvScratch& scratch, int keep) {
  for (int i = 0; i < 2; ++i) {
    if (scratch.row_numbers[i] == number) return scratch.rows[i].data();
  }
  const int slot = scratch.row_numbers[0] == keep ? 1 : 0;
  scratch.row_numbers[slot] = number;
  std::int32_t* out = scratch.rows[slot].data();
  const std::uint8_t* row = source.data + static_cast<std::size_t>(number) * source.stride;
  for (const OpenCvTap& tap : scratch.columns) {
    const std::uint8_t* first = row + static_cast<std::size_t>(tap.first) * 3;
    const std::uint8_t* second = row + static_cast<std::size_t>(tap.second) * 3;
    for (int channel = 0; channel < 3; ++channel) *out++ = first[channel] * tap.first_weight + second[channel] * tap.second_weight;
  }
  return scratch.rows[slot].data();
}

}  // namespace

void resize_as_opencv(const RgbView& source, const ResizeJob& job, const Region& window, OpenCvScratch& scratch, const RgbSpan& out) {
  const Axis columns{job.box.left, job.box.right, source.size.width, job.size.width, /*clamps_weights=*/true};
  const Axis rows{job.box.top, job.box.bottom, source.size.height, job.size.height, /*clamps_weights=*/false};
  const std::size_t samples = static_cast<std::size_t>(window.width) * 3;
  scratch.columns.clear();
  for (int x = 0; x < window.width; ++x)
    scratch.columns.push_back(tap_of(columns, wanted(window.left, window.width, job.mirror_columns, x)));
  for (auto& row : scratch.rows) row.resize(samples);
  scratch.row_numbers[0] = scratch.row_numbers[1] = -1;
  for (int y = 0; y < window.height; ++y) {
    const OpenCvTap tap = tap_of(rows, wanted(window.top, window.height, job.mirror_rows, y));
    const std::int32_t* first = wide_row(source, tap.first, scratch, tap.second);
    const std::int32_t* second = wide_row(source, tap.second, scratch, tap.first);
    std::uint8_t* line = out.data + static_cast<std::size_t>(y) * out.stride;
    for (std::size_t i = 0; i < samples; ++i) {
      const std::int32_t sum = ((tap.first_weight * (first[i] >> 4)) >> 16) + ((tap.second_weight * (second[i] >> 4)) >> 16);
      line[i] = static_cast<std::uint8_t>(std::clamp((sum + 2) >> 2, 0, 255));
    }
  }
}

}  // namespace headstart
