// SGD with momentum and AdamW, step for step as torch.optim's, with the recipe's parameter groups.
//
// Groups: the head learns at head_lr_multiplier times the backbone's rate, each stage of the backbone at stage_lr_decay times the rate of
// the stage behind it (the last at the rate itself); biases and norms have no weight decay unless DecayScope::kAll.
// State is kept by parameter name, so that a checkpoint does not depend on the order of parameters. Thread-safety: one thread. Ownership:
// shares the parameters' storage with the network. Errors: kModel for a state that does not fit.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "headstart/train.h"
#include "model/network.h"
#include "weights/state_dict.h"

namespace headstart {

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double momentum = 0.9;  // SGD. AdamW's betas are (0.9, 0.999), its epsilon 1e-8: torch's defaults
  double weight_decay = 0;
  DecayScope decay = DecayScope::kWeights;
  double head_lr_multiplier = 1;
  double stage_lr_decay = 1;
};

// What a run's options ask of it.
OptimizerOptions optimizer_options(const ResolvedOptions& options);

class Optimizer {
 public:
  // Takes the parameters that require a gradient; the others stay as they are.
  Optimizer(std::span<const NamedParameter> parameters, const OptimizerOptions& options);

  // One update from the parameters' gradients at backbone rate `lr`; the gradients are dropped afterwards.
  void step(double lr);

  // Scales all gradients so that their joint L2 norm is at most `max_norm`, as torch.nn.utils.clip_grad_norm_; returns the norm before.
  double clip_gradients(double max_norm);

  // Updates so far; AdamW's bias correction depends on it.
  std::int64_t updates() const { return updates_; }

  // float32 tensors "momentum.NAME" (none without momentum), or "exp_avg.NAME" and "exp_avg_sq.NAME", and int64 [1] "updates"; as host
  // copies.
  StateDict state() const;
  void load(const StateDict& state);

 private:
  struct Group {
    double lr_multiplier = 1;
    double weight_decay = 0;
    std::vector<std::string> names;
    std::vector<at::Tensor> parameters;
    std::vector<at::Tensor> first;   // momentum (empty without), or AdamW: the mean of gradients
    std::vector<at::Tensor> second;  // AdamW: the mean of squared gradients
  };
  std::vector<std::pair<std::string, at::Tensor>> slots() const;
  std::vector<at::Tensor> gradients(const Group& group) const;

  OptimizerOptions options_;
  std::vector<Group> groups_;
  std::int64_t updates_ = 0;
};

}  // namespace headstart
