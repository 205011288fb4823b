#include "image/resample_axis.h"

#include <algorithm>
#include <cmath>

// Contracting a * b + c into one rounding would change weights in their last bit on machines whose baseline has fused multiply-add. GCC
// does not contract in ISO mode.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

namespace headstart {
namespace {

double radius(Interpolation interpolation) { return interpolation == Interpolation::kBilinear ? 1.0 : 2.0; }

double triangle(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic convolution kernel with a = -1/2, in Pillow's order of operations.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

std::int32_t to_fixed_point(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

std::int32_t pack(std::int32_t low_lane, std::int32_t high_lane) {
  const auto bits = (static_cast<std::uint32_t>(high_lane) << 16) | (static_cast<std::uint32_t>(low_lane) & 0xFFFFU);
  return static_cast<std::int32_t>(bits);
}

}  // namespace

int ResampleAxis::identity_offset() const { return static_cast<int>(request_.source_begin) + request_.first; }

double ResampleAxis::centre(int output, double scale) const {
  const int position = request_.first + (request_.mirrored ? request_.count - 1 - output : output);
  return request_.source_begin + (position + 0.5) * scale;
}

void ResampleAxis::prepare(const AxisRequest& request) {
  if (request == request_) return;
  request_ = request;
  const float extent = request.source_end - request.source_begin;
  identity_ =
      !request.mirrored && extent == static_cast<float>(request.output_size) && request.source_begin == std::floor(request.source_begin);
  if (identity_) {
    begin_ = identity_offset();
    end_ = begin_ + request.count;
    return;
  }
  const double scale = static_cast<double>(extent) / request.output_size;
  const double filter_scale = std::max(scale, 1.0);
  find_bounds(scale, radius(request.interpolation) * filter_scale);
  compute_weights(scale, filter_scale);
}

void ResampleAxis::find_bounds(double scale, double support) {
  const auto padded = (static_cast<std::size_t>(request_.count) + 3) / 4 * 4;
  first_.resize(padded);
  count_.resize(static_cast<std::size_t>(request_.count));
  begin_ = request_.source_size;
  end_ = 0;
  int most = 0;
  for (int i = 0; i < request_.count; ++i) {
    const double middle = centre(i, scale);
    // NOLINTBEGIN(bugprone-incorrect-roundings): Pillow rounds so, and truncates towards zero below it
    const int from = std::clamp(static_cast<int>(middle - support + 0.5), 0, request_.source_size);
    const int to = std::clamp(static_cast<int>(middle + support + 0.5), from, request_.source_size);
    // NOLINTEND(bugprone-incorrect-roundings)
    first_[static_cast<std::size_t>(i)] = from;
    count_[static_cast<std::size_t>(i)] = to - from;
    begin_ = std::min(begin_, from);
    end_ = std::max(end_, to);
    most = std::max(most, to - from);
  }
  std::fill(first_.begin() + request_.count, first_.end(), begin_);
  pairs_ = most / 2 + most % 2;
}

void ResampleAxis::compute_weights(double scale, double filter_scale) {
  const auto taps = static_cast<std::size_t>(pairs_) * 2;
  weights_.resize(first_.size() * taps);
  kernel_.resize(taps);
  const double step = 1.0 / filter_scale;
  const bool bilinear = request_.interpolation == Interpolation::kBilinear;
  std::int32_t* packed = weights_.data();
  for (int i = 0; i < request_.count; ++i) {
    const int first = first_[static_cast<std::size_t>(i)];
    const auto count = static_cast<std::size_t>(count_[static_cast<std::size_t>(i)]);
    const double middle = centre(i, scale);
    double sum = 0.0;
    for (std::size_t t = 0; t < count; ++t) {
      const double x = (static_cast<int>(t) + first - middle + 0.5) * step;
      kernel_[t] = bilinear ? triangle(x) : cubic(x);
      sum += kernel_[t];
    }
    const double divisor = sum != 0.0 ? sum : 1.0;
    std::fill(kernel_.begin() + static_cast<std::ptrdiff_t>(count), kernel_.end(), 0.0);
    for (std::size_t t = 0; t < taps; t += 2, packed += 2) {
      const std::int32_t a = to_fixed_point(kernel_[t] / divisor), b = to_fixed_point(kernel_[t + 1] / divisor);
      packed[0] = pack(a >> 8, b >> 8);
      packed[1] = pack(a & 0xFF, b & 0xFF);
    }
  }
  std::fill(packed, weights_.data() + weights_.size(), 0);
}

}  // namespace headstart
