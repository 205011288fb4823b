// A picture's look in 64 bits and a coarse colour map: near-equal pictures get near-equal values.
//
// The hash holds the signs of 64 low frequencies of a 32 x 32 grey thumbnail's cosine transform about their median (Zauner, "Implementation
// and benchmarking of perceptual image hash functions", 2010), so it withstands re-encoding, scaling and small changes of brightness. It
// says nothing of colour, and much alike-shaped things share it: the colour map decides.
// Thread-safety: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "headstart/image.h"

namespace headstart {

struct Look {
  std::uint64_t hash = 0;
  // Mean R, G, B of the cells of a 4 x 4 grid, row by row.
  std::array<std::uint8_t, 48> colours{};
  // Too little structure for the hash to mean anything (blank and nearly blank pictures).
  bool flat = false;
};

// Throws nothing for a picture of at least one pixel.
Look look_of(const Image& image);

// Bits in which the hashes differ, 0 to 64.
int hash_distance(std::uint64_t a, std::uint64_t b);

// Mean absolute difference of the colour maps, 0 to 255.
double colour_distance(const Look& a, const Look& b);

// Groups of two or more indices whose looks are the same to the eye (kMaxHashDistance, kMaxColourDistance), each sorted, in the order of
// their first index. Groups are closed under the relation: the ends of a chain may lie further apart. Flat pictures are in none. Far from
// comparing all pairs: hashes within the distance agree in one of eight bytes.
inline constexpr int kMaxHashDistance = 6;
inline constexpr double kMaxColourDistance = 10;
std::vector<std::vector<std::uint32_t>> similar_groups(const std::vector<Look>& looks);

}  // namespace headstart
