#include "data/perceptual_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numbers>
#include <numeric>
#include <tuple>

namespace headstart {
namespace {

constexpr int kSide = 32;         // of the grey thumbnail
constexpr int kFrequencies = 11;  // a triangle of 64 low frequencies without the mean needs orders 0 to 10
constexpr int kGrid = 4;
// Root mean square of the 64 coefficients, in grey levels per pixel, below which a picture counts as flat.
constexpr double kFlatEnergy = 1.0;

using Grey = std::array<std::array<double, kSide>, kSide>;

struct Thumbnail {
  std::array<std::array<std::array<double, 3>, kSide>, kSide> rgb{};
};

// Pixels [begin, end) of `pixels` that cell `cell` of `cells` covers; at least one.
struct Range {
  int begin, end;
};
Range cell_range(int cell, int cells, int pixels) {
  const auto at = [&](int i) { return static_cast<int>(static_cast<std::int64_t>(i) * pixels / cells); };
  return {at(cell), std::max(at(cell + 1), at(cell) + 1)};
}

Thumbnail shrink(const Image& image) {
  Thumbnail thumbnail;
  const auto width = static_cast<std::size_t>(image.size.width);
  for (std::size_t y = 0; y < kSide; ++y) {
    const Range rows = cell_range(static_cast<int>(y), kSide, image.size.height);
    for (std::size_t x = 0; x < kSide; ++x) {
      const Range columns = cell_range(static_cast<int>(x), kSide, image.size.width);
      std::array<std::uint64_t, 3> sum{};
      for (int row = rows.begin; row < rows.end; ++row) {
        const std::uint8_t* pixel =
            image.rgb.data() + (static_cast<std::size_t>(row) * width + static_cast<std::size_t>(columns.begin)) * 3;
        for (int column = columns.begin; column < columns.end; ++column, pixel += 3) {
          for (std::size_t c = 0; c < 3; ++c) sum[c] += pixel[c];
        }
      }
      const double area = static_cast<double>(rows.end - rows.begin) * (columns.end - columns.begin);
      for (std::size_t c = 0; c < 3; ++c) thumbnail.rgb[y][x][c] = static_cast<double>(sum[c]) / area;
    }
  }
  return thumbnail;
}

// Orthonormal cosine basis: [frequency][position].
const std::array<std::array<double, kSide>, kFrequencies>& cosine_basis() {
  static const auto basis = [] {
    std::array<std::array<double, kSide>, kFrequencies> values{};
    for (std::size_t f = 0; f < kFrequencies; ++f) {
      const double scale = std::sqrt((f == 0 ? 1.0 : 2.0) / kSide);
      for (std::size_t x = 0; x < kSide; ++x) {
        values[f][x] = scale * std::cos(std::numbers::pi * static_cast<double>(f) * (2.0 * static_cast<double>(x) + 1.0) / (2.0 * kSide));
      }
    }
    return values;
  }();
  return basis;
}

// The 64 lowest frequencies without the mean, by increasing order (the sum of both directions' frequencies).
std::array<double, 64> low_frequencies(const Grey& grey) {
  const auto& basis = cosine_basis();
  std::array<std::array<double, kFrequencies>, kSide> rows{};  // [y][horizontal frequency]
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t u = 0; u < kFrequencies; ++u) {
      rows[y][u] = std::inner_product(grey[y].begin(), grey[y].end(), basis[u].begin(), 0.0);
    }
  }
  std::array<double, 64> low{};
  std::size_t filled = 0;
  for (std::size_t order = 1; filled < low.size(); ++order) {
    for (std::size_t v = 0; v <= order && filled < low.size(); ++v) {
      double sum = 0;
      for (std::size_t y = 0; y < kSide; ++y) sum += rows[y][order - v] * basis[v][y];
      low[filled++] = sum;
    }
  }
  return low;
}

std::array<std::uint8_t, 48> colour_map(const Thumbnail& thumbnail) {
  constexpr std::size_t kCell = kSide / kGrid;
  std::array<double, 48> sums{};
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t x = 0; x < kSide; ++x) {
      for (std::size_t c = 0; c < 3; ++c) sums[((y / kCell) * kGrid + x / kCell) * 3 + c] += thumbnail.rgb[y][x][c];
    }
  }
  std::array<std::uint8_t, 48> colours{};
  for (std::size_t i = 0; i < sums.size(); ++i) colours[i] = static_cast<std::uint8_t>(std::lround(sums[i] / (kCell * kCell)));
  return colours;
}

// Disjoint sets with path halving; the smaller index is the root.
class Sets {
 public:
  explicit Sets(std::size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0U); }
  std::uint32_t find(std::uint32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void unite(std::uint32_t a, std::uint32_t b) {
    a = find(a), b = find(b);
    if (a != b) parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<std::uint32_t> parent_;
};

// Photos by one of the four 16-bit bands of their hash.
constexpr std::size_t kBandValues = 1 << 16;
std::uint32_t band_of(std::uint64_t hash, int band) { return static_cast<std::uint32_t>((hash >> (16 * band)) & 0xFFFF); }

struct BandIndex {
  std::vector<std::uint32_t> begin = std::vector<std::uint32_t>(kBandValues + 1);  // where each value's members begin
  std::vector<std::uint32_t> members;                                              // positions in `distinct`, rising within a value
  std::vector<std::uint64_t> hashes;                                               // of the members, side by side for the comparison
};

BandIndex index_band(const std::vector<Look>& looks, const std::vector<std::uint32_t>& distinct, int band) {
  BandIndex index;
  for (const std::uint32_t i : distinct) ++index.begin[band_of(looks[i].hash, band) + 1];
  std::partial_sum(index.begin.begin(), index.begin.end(), index.begin.begin());
  index.members.resize(distinct.size());
  index.hashes.resize(distinct.size());
  std::vector<std::uint32_t> at(index.begin.begin(), index.begin.end() - 1);
  for (std::size_t k = 0; k < distinct.size(); ++k) {
    const std::uint64_t hash = looks[distinct[k]].hash;
    const std::uint32_t place = at[band_of(hash, band)]++;
    index.members[place] = static_cast<std::uint32_t>(k);
    index.hashes[place] = hash;
  }
  return index;
}

// 0, then the 16 values with one bit and the 120 with two.
std::vector<std::uint32_t> near_masks() {
  std::vector<std::uint32_t> masks = {0};
  for (std::uint32_t i = 0; i < 16; ++i) masks.push_back(1U << i);
  for (std::uint32_t i = 0; i < 16; ++i) {
    for (std::uint32_t j = 0; j < i; ++j) masks.push_back((1U << i) | (1U << j));
  }
  return masks;
}

// Two hashes that differ in at most 11 bits differ in at most 2 bits of one of their four bands, so that looking those up finds every pair.
static_assert(kMaxHashDistance <= 11);

// Comparisons of one photo within one band. Reached only by millions of photos or very many alike ones (the frames of a film, whose
// chains join them all the same): keeps the time in proportion to the number of photos.
constexpr std::size_t kMostComparisons = 1 << 12;

void unite_similar(const std::vector<Look>& looks, const std::vector<std::uint32_t>& distinct, int band, Sets& sets) {
  const BandIndex index = index_band(looks, distinct, band);
  const std::vector<std::uint32_t> masks = near_masks();
  for (std::uint32_t k = 0; k < distinct.size(); ++k) {
    const Look& look = looks[distinct[k]];
    std::size_t left = kMostComparisons;
    for (const std::uint32_t mask : masks) {
      const std::uint32_t value = band_of(look.hash, band) ^ mask;
      const auto last = index.members.begin() + index.begin[value + 1];
      const auto first = std::upper_bound(index.members.begin() + index.begin[value], last, k);  // each pair once
      const auto begin = static_cast<std::size_t>(first - index.members.begin());
      const std::size_t count = std::min(left, static_cast<std::size_t>(last - first));
      left -= count;
      for (std::size_t at = begin; at < begin + count; ++at) {
        if (hash_distance(look.hash, index.hashes[at]) > kMaxHashDistance) continue;
        const std::uint32_t other = distinct[index.members[at]];
        if (colour_distance(look, looks[other]) <= kMaxColourDistance) sets.unite(distinct[k], other);
      }
    }
  }
}

}  // namespace

Look look_of(const Image& image) {
  const Thumbnail thumbnail = shrink(image);
  Grey grey;
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t x = 0; x < kSide; ++x) {
      const auto& [r, g, b] = thumbnail.rgb[y][x];
      grey[y][x] = 0.299 * r + 0.587 * g + 0.114 * b;
    }
  }
  const std::array<double, 64> low = low_frequencies(grey);
  std::array<double, 64> sorted = low;
  std::nth_element(sorted.begin(), sorted.begin() + 32, sorted.end());
  Look look;
  for (std::size_t i = 0; i < low.size(); ++i) {
    // Neighbouring frequencies go to different quarters, so that each quarter tells pictures apart (similar_groups looks quarters up).
    if (low[i] >= sorted[32]) look.hash |= std::uint64_t{1} << ((i % 4) * 16 + i / 4);
  }
  const double energy = std::inner_product(low.begin(), low.end(), low.begin(), 0.0);
  look.flat = std::sqrt(energy) / kSide < kFlatEnergy;  // by Parseval: the deviation that these frequencies give a pixel
  look.colours = colour_map(thumbnail);
  return look;
}

int hash_distance(std::uint64_t a, std::uint64_t b) { return std::popcount(a ^ b); }

double colour_distance(const Look& a, const Look& b) {
  int sum = 0;
  for (std::size_t i = 0; i < a.colours.size(); ++i) sum += std::abs(int{a.colours[i]} - int{b.colours[i]});
  return sum / static_cast<double>(a.colours.size());
}

std::vector<std::vector<std::uint32_t>> similar_groups(const std::vector<Look>& looks) {
  std::vector<std::uint32_t> order;
  for (std::size_t i = 0; i < looks.size(); ++i) {
    if (!looks[i].flat) order.push_back(static_cast<std::uint32_t>(i));
  }
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::tie(looks[a].hash, looks[a].colours, a) < std::tie(looks[b].hash, looks[b].colours, b);
  });
  Sets sets(looks.size());
  std::vector<std::uint32_t> distinct;  // one index of each look
  for (const std::uint32_t i : order) {
    if (distinct.empty() || looks[distinct.back()].hash != looks[i].hash || looks[distinct.back()].colours != looks[i].colours) {
      distinct.push_back(i);
    } else {
      sets.unite(distinct.back(), i);
    }
  }
  for (int band = 0; band < 4; ++band) unite_similar(looks, distinct, band, sets);
  std::map<std::uint32_t, std::vector<std::uint32_t>> groups;  // by first index
  for (std::size_t i = 0; i < looks.size(); ++i) groups[sets.find(static_cast<std::uint32_t>(i))].push_back(static_cast<std::uint32_t>(i));
  std::vector<std::vector<std::uint32_t>> result;
  for (auto& [first, members] : groups) {
    if (members.size() > 1) result.push_back(std::move(members));
  }
  return result;
}

}  // namespace headstart
