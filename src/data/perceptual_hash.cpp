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

// Two hashes that differ in at most 7 bits agree in one of their 8 bytes, so comparing within the buckets of each byte finds every pair.
static_assert(kMaxHashDistance <= 7);

// Comparisons of one photo within one bucket. Reached only by collections of over a million photos or of very many alike ones (the frames
// of a film): there the nearest in hash order are compared, which keeps the time in proportion to the number of photos.
constexpr std::size_t kMostNeighbours = 4096;

void unite_similar(const std::vector<Look>& looks, const std::vector<std::uint32_t>& bucket, Sets& sets) {
  for (std::size_t i = 0; i < bucket.size(); ++i) {
    const Look& a = looks[bucket[i]];
    const std::size_t end = std::min(bucket.size(), i + 1 + kMostNeighbours);
    for (std::size_t j = i + 1; j < end; ++j) {
      const Look& b = looks[bucket[j]];
      if (hash_distance(a.hash, b.hash) <= kMaxHashDistance && colour_distance(a, b) <= kMaxColourDistance) {
        sets.unite(bucket[i], bucket[j]);
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
    if (low[i] >= sorted[32]) look.hash |= std::uint64_t{1} << i;
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
  for (int band = 0; band < 8; ++band) {
    std::array<std::vector<std::uint32_t>, 256> buckets;
    for (const std::uint32_t i : distinct) buckets[(looks[i].hash >> (8 * band)) & 0xFF].push_back(i);
    for (const auto& bucket : buckets) unite_similar(looks, bucket, sets);
  }
  std::map<std::uint32_t, std::vector<std::uint32_t>> groups;  // by first index
  for (std::size_t i = 0; i < looks.size(); ++i) groups[sets.find(static_cast<std::uint32_t>(i))].push_back(static_cast<std::uint32_t>(i));
  std::vector<std::vector<std::uint32_t>> result;
  for (auto& [first, members] : groups) {
    if (members.size() > 1) result.push_back(std::move(members));
  }
  return result;
}

}  // namespace headstart
