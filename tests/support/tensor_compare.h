// The project's one tensor comparator: shape, dtype, NaN positions, then every element within a tolerance.
//
// EXPECT_TRUE(test::tensors_close(actual, expected, {.relative = 1e-5, .absolute = 1e-6})) prints the worst element when it fails.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headstart::test {

// An element fits when |actual - expected| <= absolute + relative * |expected|.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

// "[1, 2]"
inline std::string index_text(std::int64_t flat, at::IntArrayRef sizes) {
  std::vector<std::int64_t> index(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0;) {
    index[i] = flat % sizes[i];
    flat /= sizes[i];
  }
  return fmt::format("[{}]", fmt::join(index, ", "));
}

// Strides and device may differ. Infinities fit only their equals; NaN fits only NaN.
inline ::testing::AssertionResult tensors_close(const at::Tensor& actual, const at::Tensor& expected, Tolerance tolerance) {
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure() << fmt::format("shape [{}], expected [{}]", fmt::join(actual.sizes(), ", "),
                                                        fmt::join(expected.sizes(), ", "));
  }
  if (actual.scalar_type() != expected.scalar_type()) {
    return ::testing::AssertionFailure() << "dtype " << c10::toString(actual.scalar_type()) << ", expected "
                                         << c10::toString(expected.scalar_type());
  }
  const at::Tensor a = actual.detach().to(at::kCPU, at::kDouble).contiguous().flatten();
  const at::Tensor e = expected.detach().to(at::kCPU, at::kDouble).contiguous().flatten();
  const double* const a_data = a.const_data_ptr<double>();
  const double* const e_data = e.const_data_ptr<double>();
  std::int64_t worst = -1, wrong = 0;
  double worst_excess = -1;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    if (a_data[i] == e_data[i] || (std::isnan(a_data[i]) && std::isnan(e_data[i]))) continue;
    const double excess = std::abs(a_data[i] - e_data[i]) - (tolerance.absolute + tolerance.relative * std::abs(e_data[i]));
    if (excess <= 0) continue;  // false for NaN
    ++wrong;
    if (worst < 0 || !(excess <= worst_excess)) {
      worst = i;
      worst_excess = excess;
    }
  }
  if (wrong == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << fmt::format(
             "{} of {} elements differ by more than {} + {} * |expected|; worst at {}: {}, expected {}", wrong, a.numel(),
             tolerance.absolute, tolerance.relative, index_text(worst, actual.sizes()), a_data[worst], e_data[worst]);
}

// The same shape, dtype and values; -0.0 equals 0.0, NaN equals NaN.
inline ::testing::AssertionResult tensors_equal(const at::Tensor& actual, const at::Tensor& expected) {
  return tensors_close(actual, expected, {});
}

}  // namespace headstart::test
