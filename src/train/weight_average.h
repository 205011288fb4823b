// The exponential moving average of the trained weights over the steps: what is validated and shipped instead of the last step's.
//
// Early steps weigh less than `decay` says, so that the start is forgotten: after t steps the share of the newest is at least 1 / (t + 1)
// (the plain mean of all steps until then). Running statistics of norms are not averaged. Thread-safety: one thread. Ownership: shares the
// parameters' storage with the network. Errors: kModel for a state that does not fit.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/network.h"
#include "weights/state_dict.h"

namespace headstart {

class WeightAverage {
 public:
  // Of the parameters that require a gradient, from their present values. decay in [0, 1); 0: no average is kept.
  WeightAverage(std::span<const NamedParameter> parameters, double decay);

  // After every optimizer step.
  void update();
  // Exchanges the network's weights with their averages; twice restores them.
  void swap();

  // float32 tensors by parameter name, and int64 [1] "updates", as host copies; empty without an average.
  StateDict state() const;
  void load(const StateDict& state);

 private:
  double decay_ = 0;
  std::int64_t updates_ = 0;
  std::vector<std::string> names_;
  std::vector<at::Tensor> parameters_, averages_;
};

}  // namespace headstart
