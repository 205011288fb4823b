// Winograd's transforms for 3x3 convolutions of stride 1, F(2x2, 3x3) (Winograd 1980; Lavin & Gray 2016, "Fast algorithms for convolutional
// neural networks"): the output in tiles of 2x2, each from a tile of 4x4 of the input with 16 multiplications a pair of channels in the
// place of 36. bfloat16 as its bits, arithmetic in float32. Here are the transforms alone; between them lie 16 products of matrices, one
// for each place of a tile (model/winograd.h). Written for AVX-512 with BF16, the only processors on which these products are fast enough:
// has_winograd_kernels() comes first. Thread-safety: any thread. Channels are a multiple of kWinogradChannels everywhere,
// kMostWinogradChannels at most.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "model/clamp.h"

namespace headstart {

inline constexpr std::size_t kTilePlaces = 16;        // of a 4x4 tile, row by row
inline constexpr std::size_t kTileRun = 32;           // tiles that the transposing transforms take at once
inline constexpr std::size_t kWinogradChannels = 64;  // outputs of one product of matrices
inline constexpr std::size_t kMostWinogradChannels = 2048;

// Whether this processor has the instructions that the functions below use.
bool has_winograd_kernels();

// Images of a batch [images, height, width, channels] and their tiles, counted along rows, then images.
struct TileGrid {
  std::size_t images, height, width, channels;

  std::size_t rows() const { return (height + 1) / 2; }
  std::size_t columns() const { return (width + 1) / 2; }
  std::size_t tiles() const { return images * rows() * columns(); }
};

// Tiles [first, first + count).
struct TileRange {
  std::size_t first, count;
};

// Kernels of 3x3 from inputs [0, 2 * pairs) to 64 outputs: weight [outputs, inputs, 3, 3], `output_stride` values from output to output. As
// bfloat16 [places, pairs, outputs, 2], `place_stride` values from place to place.
void transform_kernels(const float* weight, std::size_t output_stride, std::size_t pairs, std::size_t place_stride, std::uint16_t* into);

// Of one place, [32 pairs of inputs, 64 outputs, 2] to [32 pairs of outputs, 64 inputs, 2].
void transpose_kernels(const std::uint16_t* from, std::uint16_t* into);
// The gradient of the input takes kernels turned by half a turn: their transform at a place is the kernels' own at this one.
std::size_t turned_place(std::size_t place);

// Inputs of a tile and the ring of one pixel around it (zero outside of the image), as [places, count, channels], `place_stride` values
// from place to place.
void transform_inputs(const std::uint16_t* x, const TileGrid& grid, TileRange tiles, std::size_t place_stride, std::uint16_t* into);

// The same, transposed: [places, channels, tiles], `row_stride` values from channel to channel and `place_stride` from place to place. The
// tiles' number is rounded up to a multiple of kTileRun, what is beyond the last tile is zero.
void transform_inputs_transposed(const std::uint16_t* x, const TileGrid& grid, TileRange tiles, std::size_t row_stride,
                                 std::size_t place_stride, std::uint16_t* into);

// Gradients of the outputs, from 2x2 to 4x4: pairs of tiles interleaved, [channels / 64, places, tiles / 2, 64, 2] with
// `place_stride` values from place to place; rounded up as above.
void transform_gradients(const std::uint16_t* dy, const TileGrid& grid, TileRange tiles, std::size_t place_stride, std::size_t slice_stride,
                         std::uint16_t* into);

// What becomes of an output: clamp(output + bias + added).
struct TileEnd {
  const float* bias;           // of all channels, or nullptr
  const std::uint16_t* added;  // [images, height, width, channels], or nullptr
  Clamp clamp;
};

// From the products [places, count, 64], `place_stride` values from place to place, to 64 channels of y, from `channel` on.
void transform_outputs(const float* products, std::size_t place_stride, const TileGrid& grid, TileRange tiles, std::size_t channel,
                       const TileEnd& end, std::uint16_t* y);

// From the products of inputs and gradients, [places, inputs, outputs] with `place_stride` values from place to place, to the gradients of
// the kernels of one input, written where `output_stride` says, 9 values each.
void transform_kernel_gradients(const float* products, std::size_t place_stride, std::size_t outputs, std::size_t output_stride,
                                float* into);

}  // namespace headstart
