// Depthwise convolution of bfloat16 rows, channels last: each channel with a kernel of its own. SIMD by Highway, chosen at run time;
// arithmetic in float32. The shapes around it, threads and gradients: model/depthwise.h. Thread-safety: any thread. Channels are a multiple
// of kChannelStep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/clamp.h"

namespace headstart {

// A row of the input and the kernel's taps that meet it.
struct RowTerm {
  const std::uint16_t* input;  // [columns, channels]
  const float* taps;           // of the first tap: [channels]
};

// How the columns of an output row meet those of the input: output column i is the sum over t < taps of input column first + i * step + t,
// where there is such a column, times the taps' row at t * tap_stride.
struct RowGeometry {
  std::size_t channels;
  std::size_t columns;        // of the input
  std::ptrdiff_t first;       // may lie outside of the input
  std::size_t taps, step;     // (1, 1), (2, 1), (3, 1), (5, 1), (3, 2) or (5, 2); others: Error(kInternal)
  std::ptrdiff_t tap_stride;  // in floats
  std::size_t outputs;
};

struct RowEnd {
  const float* bias;  // [channels], or nullptr: zero
  Clamp clamp;
};

// out[i * out_stride] = clamp(bias + Σ of the terms), for each output column i; out_stride in values.
void correlate_rows(std::span<const RowTerm> terms, const RowGeometry& geometry, const RowEnd& end, std::uint16_t* out,
                    std::size_t out_stride);

// sums [taps, channels] += Σ over the output columns i of gradient[i] * input[first + i * step + t].
void add_tap_gradients(const std::uint16_t* input, const std::uint16_t* gradient, const RowGeometry& geometry, float* sums);

// sum [channels] += Σ of the columns.
void add_columns(const std::uint16_t* values, std::size_t columns, std::size_t channels, float* sum);

}  // namespace headstart
