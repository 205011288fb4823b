#include "model/winograd_kernels.h"

// GCC 12 takes what its own header leaves undefined on purpose for a mistake.
#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <algorithm>

// What Highway asks of its targets, for the one that there is here: version 1.0, as Debian 12 has it, knows no bfloat16 instructions.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
#endif

namespace headstart {
namespace {

constexpr std::size_t kLanes = 16;  // float32 values a vector
using Vector = __m512;

// Vectors that are handed from function to function stay in registers only where it is one function in the end.
#define HEADSTART_INLINE inline __attribute__((always_inline))

// As std::array, whose elements' type would lose its alignment as a template's argument.
template <std::size_t kCount>
struct Vectors {
  Vector at[kCount];
  Vector& operator[](std::size_t i) { return at[i]; }
  const Vector& operator[](std::size_t i) const { return at[i]; }
};
using Tile = Vectors<kTilePlaces>;

// 16 x 16 values of 32 bits.
struct Square {
  __m512i at[kLanes];
  __m512i& operator[](std::size_t i) { return at[i]; }
};

HEADSTART_INLINE Vector load(const std::uint16_t* bits) {
  const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}

// Rounded to the nearest, ties to even.
HEADSTART_INLINE void store(Vector values, std::uint16_t* bits) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(bits), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

// 16 pairs: the values of `first` in the lower halves of 32 bits, those of `second` in the upper.
HEADSTART_INLINE __m512i paired(Vector first, Vector second) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3,
                                         18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
}

// A tile's place in its image.
struct Place {
  std::size_t image, row, column;
};

Place place_of(const TileGrid& grid, std::size_t tile) {
  const std::size_t in_image = grid.rows() * grid.columns();
  return {.image = tile / in_image, .row = tile % in_image / grid.columns(), .column = tile % grid.columns()};
}

void advance(const TileGrid& grid, Place& place) {
  if (++place.column < grid.columns()) return;
  place.column = 0;
  if (++place.row < grid.rows()) return;
  place.row = 0;
  ++place.image;
}

// What is read outside of an image.
constexpr std::array<std::uint16_t, kMostWinogradChannels> kZeros{};

// The pixels of a tile, kSide x kSide of them: where each begins.
template <std::size_t kSide>
struct Pixels {
  std::array<const std::uint16_t*, kSide * kSide> at;
};

// The tile's outputs, or with a ring of 1 what they are computed from.
template <std::size_t kSide>
Pixels<kSide> pixels_of(const std::uint16_t* x, const TileGrid& grid, const Place& place) {
  constexpr std::size_t kRing = (kSide - 2) / 2;
  Pixels<kSide> pixels;
  for (std::size_t r = 0; r < kSide; ++r) {
    for (std::size_t c = 0; c < kSide; ++c) {
      // Above and left of the image they wrap round to large numbers.
      const std::size_t row = 2 * place.row + r - kRing, column = 2 * place.column + c - kRing;
      const bool inside = row < grid.height && column < grid.width;
      pixels.at[r * kSide + c] = inside ? x + ((place.image * grid.height + row) * grid.width + column) * grid.channels : kZeros.data();
    }
  }
  return pixels;
}

// Bᵀ d B, with Bᵀ = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1].
HEADSTART_INLINE Tile input_tile(const Pixels<4>& pixels, std::size_t channel) {
  Tile half;
  for (std::size_t c = 0; c < 4; ++c) {
    const Vector d0 = load(pixels.at[c] + channel), d1 = load(pixels.at[4 + c] + channel);
    const Vector d2 = load(pixels.at[8 + c] + channel), d3 = load(pixels.at[12 + c] + channel);
    half[c] = _mm512_sub_ps(d0, d2);
    half[4 + c] = _mm512_add_ps(d1, d2);
    half[8 + c] = _mm512_sub_ps(d2, d1);
    half[12 + c] = _mm512_sub_ps(d1, d3);
  }
  Tile tile;
  for (std::size_t r = 0; r < kTilePlaces; r += 4) {
    tile[r] = _mm512_sub_ps(half[r], half[r + 2]);
    tile[r + 1] = _mm512_add_ps(half[r + 1], half[r + 2]);
    tile[r + 2] = _mm512_sub_ps(half[r + 2], half[r + 1]);
    tile[r + 3] = _mm512_sub_ps(half[r + 1], half[r + 3]);
  }
  return tile;
}

// A dy Aᵀ, with Aᵀ = [1 1 1 0; 0 1 -1 -1].
HEADSTART_INLINE Tile gradient_tile(const Pixels<2>& pixels, std::size_t channel) {
  const Vector zero = _mm512_setzero_ps();
  Vectors<8> half;
  for (std::size_t c = 0; c < 2; ++c) {
    const Vector d0 = load(pixels.at[c] + channel), d1 = load(pixels.at[2 + c] + channel);
    half[c] = d0;
    half[2 + c] = _mm512_add_ps(d0, d1);
    half[4 + c] = _mm512_sub_ps(d0, d1);
    half[6 + c] = _mm512_sub_ps(zero, d1);
  }
  Tile tile;
  for (std::size_t r = 0; r < 4; ++r) {
    const Vector d0 = half[2 * r], d1 = half[2 * r + 1];
    tile[4 * r] = d0;
    tile[4 * r + 1] = _mm512_add_ps(d0, d1);
    tile[4 * r + 2] = _mm512_sub_ps(d0, d1);
    tile[4 * r + 3] = _mm512_sub_ps(zero, d1);
  }
  return tile;
}

// G g Gᵀ, with G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1]; g: 9 vectors, row by row.
HEADSTART_INLINE Tile kernel_tile(const Vectors<9>& g) {
  const Vector half = _mm512_set1_ps(0.5F);
  Vectors<12> rows;  // 4x3
  for (std::size_t c = 0; c < 3; ++c) {
    const Vector outer = _mm512_mul_ps(half, _mm512_add_ps(g[c], g[6 + c])), inner = _mm512_mul_ps(half, g[3 + c]);
    rows[c] = g[c];
    rows[3 + c] = _mm512_add_ps(outer, inner);
    rows[6 + c] = _mm512_sub_ps(outer, inner);
    rows[9 + c] = g[6 + c];
  }
  Tile tile;
  for (std::size_t r = 0; r < 4; ++r) {
    const Vector outer = _mm512_mul_ps(half, _mm512_add_ps(rows[3 * r], rows[3 * r + 2]));
    const Vector inner = _mm512_mul_ps(half, rows[3 * r + 1]);
    tile[4 * r] = rows[3 * r];
    tile[4 * r + 1] = _mm512_add_ps(outer, inner);
    tile[4 * r + 2] = _mm512_sub_ps(outer, inner);
    tile[4 * r + 3] = rows[3 * r + 2];
  }
  return tile;
}

// The kernels from one input to 16 outputs, transformed.
HEADSTART_INLINE Tile gathered_kernel(const float* weight, __m512i outputs) {
  Vectors<9> g;
  for (std::size_t i = 0; i < 9; ++i) g[i] = _mm512_i32gather_ps(outputs, weight + i, sizeof(float));
  return kernel_tile(g);
}

// Gᵀ m G: the gradient of the kernel from that of its transform.
HEADSTART_INLINE Vectors<9> kernel_gradient(const Tile& m) {
  const Vector half = _mm512_set1_ps(0.5F);
  Vectors<12> rows;  // 3x4
  for (std::size_t c = 0; c < 4; ++c) {
    const Vector sum = _mm512_mul_ps(half, _mm512_add_ps(m[4 + c], m[8 + c]));
    rows[c] = _mm512_add_ps(m[c], sum);
    rows[4 + c] = _mm512_mul_ps(half, _mm512_sub_ps(m[4 + c], m[8 + c]));
    rows[8 + c] = _mm512_add_ps(m[12 + c], sum);
  }
  Vectors<9> g;
  for (std::size_t r = 0; r < 3; ++r) {
    const Vector* const row = &rows[4 * r];
    const Vector sum = _mm512_mul_ps(half, _mm512_add_ps(row[1], row[2]));
    g[3 * r] = _mm512_add_ps(row[0], sum);
    g[3 * r + 1] = _mm512_mul_ps(half, _mm512_sub_ps(row[1], row[2]));
    g[3 * r + 2] = _mm512_add_ps(row[3], sum);
  }
  return g;
}

// Aᵀ m A: 2x2 outputs.
HEADSTART_INLINE Vectors<4> output_tile(const Tile& m) {
  Vectors<8> rows;  // 2x4
  for (std::size_t c = 0; c < 4; ++c) {
    rows[c] = _mm512_add_ps(_mm512_add_ps(m[c], m[4 + c]), m[8 + c]);
    rows[4 + c] = _mm512_sub_ps(_mm512_sub_ps(m[4 + c], m[8 + c]), m[12 + c]);
  }
  Vectors<4> y;
  for (std::size_t r = 0; r < 2; ++r) {
    const Vector* const row = &rows[4 * r];
    y[2 * r] = _mm512_add_ps(_mm512_add_ps(row[0], row[1]), row[2]);
    y[2 * r + 1] = _mm512_sub_ps(_mm512_sub_ps(row[1], row[2]), row[3]);
  }
  return y;
}

// In place.
HEADSTART_INLINE void transpose(Square& rows) {
  Square part;
  for (std::size_t i = 0; i < 16; i += 2) {
    part[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    part[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (std::size_t i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(part[i], part[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(part[i], part[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(part[i + 1], part[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(part[i + 1], part[i + 3]);
  }
  for (std::size_t i = 0; i < 4; ++i) {  // now rows[4 * q + i] has columns i, 4 + i, 8 + i, 12 + i of rows 4q to 4q + 3
    const __m512i a = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0x88), b = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0xdd), d = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0xdd);
    part[i] = _mm512_shuffle_i32x4(a, b, 0x88);
    part[8 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
    part[4 + i] = _mm512_shuffle_i32x4(c, d, 0x88);
    part[12 + i] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
  rows = part;
}

// Pixels of a run of tiles; those behind the last tile are outside of every image.
template <std::size_t kSide>
std::array<Pixels<kSide>, kTileRun> run_of(const std::uint16_t* x, const TileGrid& grid, Place place, std::size_t count) {
  std::array<Pixels<kSide>, kTileRun> run;
  for (Pixels<kSide>& pixels : run) pixels.at.fill(kZeros.data());
  for (std::size_t i = 0; i < std::min(count, kTileRun); ++i, advance(grid, place)) run[i] = pixels_of<kSide>(x, grid, place);
  return run;
}

}  // namespace

void transform_kernels(const float* weight, std::size_t output_stride, std::size_t pairs, std::size_t place_stride, std::uint16_t* into) {
  const __m512i outputs = _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                             _mm512_set1_epi32(static_cast<int>(output_stride)));
  for (std::size_t output = 0; output < kWinogradChannels; output += kLanes) {
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      const float* const from = weight + output * output_stride + pair * 18;
      const Tile first = gathered_kernel(from, outputs), second = gathered_kernel(from + 9, outputs);
      for (std::size_t place = 0; place < kTilePlaces; ++place) {
        _mm512_storeu_si512(into + place * place_stride + (pair * kWinogradChannels + output) * 2, paired(first[place], second[place]));
      }
    }
  }
}

void transpose_kernels(const std::uint16_t* from, std::uint16_t* into) {
  const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34,
                                       2, 33, 1, 32, 0);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  constexpr std::size_t kRow = 2 * kWinogradChannels;  // of a pair
  for (std::size_t pair = 0; pair < kWinogradChannels / 2; pair += kLanes) {
    for (std::size_t output = 0; output < kWinogradChannels; output += kLanes) {
      Square square;  // first a row a pair of inputs, then one an output, of 32 inputs
      for (std::size_t i = 0; i < kLanes; ++i) square[i] = _mm512_loadu_si512(from + (pair + i) * kRow + 2 * output);
      transpose(square);
      for (std::size_t i = 0; i < kLanes; i += 2) {
        std::uint16_t* const to = into + (output + i) / 2 * kRow + 4 * pair;
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(square[i], low, square[i + 1]));
        _mm512_storeu_si512(to + 2 * kLanes, _mm512_permutex2var_epi16(square[i], high, square[i + 1]));
      }
    }
  }
}

void transform_inputs(const std::uint16_t* x, const TileGrid& grid, TileRange tiles, std::size_t place_stride, std::uint16_t* into) {
  Place place = place_of(grid, tiles.first);
  for (std::size_t i = 0; i < tiles.count; ++i, advance(grid, place)) {
    const Pixels<4> pixels = pixels_of<4>(x, grid, place);
    for (std::size_t c = 0; c < grid.channels; c += kLanes) {
      const Tile tile = input_tile(pixels, c);
      for (std::size_t p = 0; p < kTilePlaces; ++p) store(tile[p], into + p * place_stride + i * grid.channels + c);
    }
  }
}

void transform_inputs_transposed(const std::uint16_t* x, const TileGrid& grid, TileRange tiles, std::size_t row_stride,
                                 std::size_t place_stride, std::uint16_t* into) {
  std::array<Square, kTilePlaces> pairs;
  for (std::size_t done = 0; done < tiles.count; done += kTileRun) {
    const auto run = run_of<4>(x, grid, place_of(grid, tiles.first + done), tiles.count - done);
    for (std::size_t c = 0; c < grid.channels; c += kLanes) {
      for (std::size_t i = 0; i < kTileRun / 2; ++i) {
        const Tile first = input_tile(run[2 * i], c), second = input_tile(run[2 * i + 1], c);
        for (std::size_t p = 0; p < kTilePlaces; ++p) pairs[p][i] = paired(first[p], second[p]);
      }
      for (std::size_t p = 0; p < kTilePlaces; ++p) {
        transpose(pairs[p]);
        std::uint16_t* const to = into + p * place_stride + c * row_stride + done;
        for (std::size_t lane = 0; lane < kLanes; ++lane) _mm512_storeu_si512(to + lane * row_stride, pairs[p][lane]);
      }
    }
  }
}

void transform_gradients(const std::uint16_t* dy, const TileGrid& grid, TileRange tiles, std::size_t place_stride, std::size_t slice_stride,
                         std::uint16_t* into) {
  for (std::size_t done = 0; done < tiles.count; done += kTileRun) {
    const auto run = run_of<2>(dy, grid, place_of(grid, tiles.first + done), tiles.count - done);
    for (std::size_t c = 0; c < grid.channels; c += kLanes) {
      std::uint16_t* const slice = into + c / kWinogradChannels * slice_stride + (done * kWinogradChannels + c % kWinogradChannels * 2);
      for (std::size_t i = 0; i < kTileRun / 2; ++i) {
        const Tile first = gradient_tile(run[2 * i], c), second = gradient_tile(run[2 * i + 1], c);
        for (std::size_t p = 0; p < kTilePlaces; ++p) {
          _mm512_storeu_si512(slice + p * place_stride + i * 2 * kWinogradChannels, paired(first[p], second[p]));
        }
      }
    }
  }
}

void transform_outputs(const float* products, std::size_t place_stride, const TileGrid& grid, TileRange tiles, std::size_t channel,
                       const TileEnd& end, std::uint16_t* y) {
  const Vector low = _mm512_set1_ps(end.clamp.low), high = _mm512_set1_ps(end.clamp.high);
  Place place = place_of(grid, tiles.first);
  for (std::size_t i = 0; i < tiles.count; ++i, advance(grid, place)) {
    const std::size_t corner = ((place.image * grid.height + 2 * place.row) * grid.width + 2 * place.column) * grid.channels + channel;
    const std::size_t tall = std::min<std::size_t>(2, grid.height - 2 * place.row);
    const std::size_t wide = std::min<std::size_t>(2, grid.width - 2 * place.column);
    for (std::size_t c = 0; c < kWinogradChannels; c += kLanes) {
      Tile m;
      for (std::size_t p = 0; p < kTilePlaces; ++p) m[p] = _mm512_loadu_ps(products + p * place_stride + i * kWinogradChannels + c);
      const Vectors<4> outputs = output_tile(m);
      const Vector bias = end.bias != nullptr ? _mm512_loadu_ps(end.bias + channel + c) : _mm512_setzero_ps();
      for (std::size_t r = 0; r < tall; ++r) {
        for (std::size_t column = 0; column < wide; ++column) {
          const std::size_t at = corner + (r * grid.width + column) * grid.channels + c;
          Vector value = _mm512_add_ps(outputs[2 * r + column], bias);
          if (end.added != nullptr) value = _mm512_add_ps(value, load(end.added + at));
          store(_mm512_min_ps(high, _mm512_max_ps(low, value)), y + at);  // in this order NaN stays NaN
        }
      }
    }
  }
}

void transform_kernel_gradients(const float* products, std::size_t place_stride, std::size_t outputs, std::size_t output_stride,
                                float* into) {
  for (std::size_t output = 0; output < outputs; output += kLanes) {
    Tile m;
    for (std::size_t p = 0; p < kTilePlaces; ++p) m[p] = _mm512_loadu_ps(products + p * place_stride + output);
    const Vectors<9> g = kernel_gradient(m);
    std::array<std::array<float, kLanes>, 9> values;
    for (std::size_t i = 0; i < 9; ++i) _mm512_storeu_ps(values[i].data(), g[i]);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      for (std::size_t i = 0; i < 9; ++i) into[(output + lane) * output_stride + i] = values[i][lane];
    }
  }
}

}  // namespace headstart

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace headstart {

std::size_t turned_place(std::size_t place) {
  // Of the four rows of G g Gᵀ a half turn of g exchanges the first and the last and leaves the two between as they are; so of its columns.
  constexpr std::array<std::size_t, 4> kTurned = {3, 1, 2, 0};
  return 4 * kTurned[place / 4] + kTurned[place % 4];
}

bool has_winograd_kernels() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bf16");
  return has;
}

}  // namespace headstart
