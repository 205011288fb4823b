// One axis of a resize: which source samples make each output sample, and with which fixed-point weights.
//
// The weights are Pillow's (src/libImaging/Resample.c, 8 bits a channel): a kernel in double precision, stretched when the axis shrinks,
// normalised to sum 1, times 2^22, rounded half away from zero. Box edges are float32 there, so they are here.
// Thread-safety: an axis belongs to one thread; it keeps its memory from call to call. Errors: none; the caller has checked the request.
#pragma once

#include <cstdint>
#include <vector>

#include "headstart/image.h"

namespace headstart {

inline constexpr int kWeightBits = 32 - 8 - 2;

struct AxisRequest {
  int source_size = 0;     // samples of the source along this axis
  float source_begin = 0;  // the box, in source samples
  float source_end = 0;
  int output_size = 0;  // samples of the whole output
  int first = 0;        // of these, `count` are wanted, from `first` on
  int count = 0;
  bool mirrored = false;  // in descending order
  Interpolation interpolation = Interpolation::kBilinear;
  friend bool operator==(const AxisRequest&, const AxisRequest&) = default;
};

// What the kernels read. Weight k of a tap is split into k = 256 * high + low with low in [0, 255], so that both halves fit the 16-bit
// multipliers of every SIMD target and no bit is lost.
struct AxisTaps {
  const std::int32_t* first;    // [outputs]: source index of the first tap; padded with begin() to a multiple of 4
  const std::int32_t* weights;  // [outputs][pairs][2]: high halves of two taps as 16-bit lanes, then their low halves; padded with 0 alike
  int outputs;
  int pairs;  // of taps, the same for all outputs; taps beyond an output's own have weight 0
};

class ResampleAxis {
 public:
  // Computes the taps unless the last request was the same.
  void prepare(const AxisRequest& request);

  // Every output sample is one source sample: number identity_offset() + i.
  bool identity() const { return identity_; }
  int identity_offset() const;

  // Source samples [begin(), end()) have a say in the wanted outputs.
  int begin() const { return begin_; }
  int end() const { return end_; }

  AxisTaps taps() const { return {first_.data(), weights_.data(), request_.count, pairs_}; }

 private:
  void find_bounds(double scale, double support);
  void compute_weights(double scale, double filter_scale);
  double centre(int output, double scale) const;

  AxisRequest request_;
  bool identity_ = false;
  int begin_ = 0, end_ = 0, pairs_ = 0;
  std::vector<std::int32_t> first_, count_, weights_;
  std::vector<double> kernel_;
};

}  // namespace headstart
