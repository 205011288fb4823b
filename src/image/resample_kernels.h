// The inner loops of a resize, dispatched at run time to the best SIMD target of the processor. All targets give the same bits.
//
// Thread-safety: pure functions. Ownership: everything is borrowed. Errors: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "image/resample_axis.h"

namespace headstart {

// Bytes that resample_rows may read of a row: past the last tap, since it loads 16 bytes at a time.
std::size_t readable_row_bytes(const AxisTaps& taps, std::int32_t first_column);

// Horizontal pass: rows[i], RGB u8 from column first_column on with readable_row_bytes() bytes, to the 3 * taps.outputs bytes at
// out + i * out_stride.
void resample_rows(const std::uint8_t* const* rows, std::size_t count, std::int32_t first_column, const AxisTaps& taps, std::uint8_t* out,
                   std::size_t out_stride);

// Vertical pass: output row i is the weighted sum of rows[taps.first[i] - first_row + t], of which row_bytes bytes are read and written.
// `rows` goes on past the last needed row by 2 * taps.pairs valid pointers (their weights are 0).
void resample_columns(const std::uint8_t* const* rows, std::int32_t first_row, const AxisTaps& taps, std::size_t row_bytes,
                      std::uint8_t* out, std::size_t out_stride);

// For tests: the SIMD targets compiled in that this processor has, as Highway numbers them, and a way to allow only one (0: all again). Not
// to be called while other threads resize.
std::vector<std::int64_t> simd_targets();
std::string simd_target_name(std::int64_t target);
void use_simd_target(std::int64_t target);

}  // namespace headstart
