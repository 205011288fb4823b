// Random streams: every draw of a run comes from a counter-based stream keyed by (seed, epoch, sample, purpose), so the number of threads,
// the batch size and a resume cannot change it.
//
// Source: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// Thread-safety: a stream belongs to one thread; making one costs nothing.
#pragma once

#include <array>
#include <cstdint>

namespace headstart {

// Frozen: a number here is part of what a seed means. Append only.
enum class Purpose : std::uint32_t { kSplit = 1, kShuffle = 2, kCrop = 3, kFlip = 4, kHeadInit = 5, kBalancedDraw = 6, kTest = 7 };

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t epoch = 0, std::uint32_t sample = 0);

  std::uint32_t next_u32();
  // Uniform in [0, 1), 53 bits.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // Uniform in [0, bound), unbiased (Lemire's method); bound > 0.
  std::uint64_t below(std::uint64_t bound);

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
};

}  // namespace headstart
