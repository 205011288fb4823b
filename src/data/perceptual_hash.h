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

// Two looks within both bounds are the same to the eye. Chosen by measurement (docs/data.md): re-encoded, scaled, brightened and slightly
// cropped copies lie within them, and of the 3.9 million pairs of 2,800 food photos nothing else but shots of one scene does.
inline constexpr int kMaxHashDistance = 10;
inline constexpr double kMaxColourDistance = 12;

// Groups of two or more indices whose looks are the same to the eye, each sorted, in the order of their first index. Groups are closed
// under the relation: the ends of a chain may lie further apart. Flat pictures are in none. Only photos that nearly agree in a quarter of
// the hash are compared, which finds every pair within the distance without comparing all pairs.
std::vector<std::vector<std::uint32_t>> similar_groups(const std::vector<Look>& looks);

}  // namespace headstart
