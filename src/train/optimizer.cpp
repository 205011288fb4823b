#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "headstart/error.h"

namespace headstart {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

bool has_weight_decay(ParameterRole role, DecayScope scope) { return scope == DecayScope::kAll || role == ParameterRole::kWeight; }

}  // namespace

OptimizerOptions optimizer_options(const ResolvedOptions& options) {
  return {.kind = options.optimizer,
          .momentum = options.momentum,
          .weight_decay = options.weight_decay,
          .decay = options.decay,
          .head_lr_multiplier = options.head_lr_multiplier,
          .stage_lr_decay = options.stage_lr_decay};
}

Optimizer::Optimizer(std::span<const NamedParameter> parameters, const OptimizerOptions& options) : options_(options) {
  const c10::NoGradGuard no_gradients;
  const std::size_t head_stage = parameters.empty() ? 0 : parameters.back().stage;
  groups_.resize(2 * (head_stage + 2));
  const bool adamw = options.kind == OptimizerKind::kAdamW;
  for (const NamedParameter& parameter : parameters) {
    if (!parameter.tensor.requires_grad()) continue;
    const bool decays = has_weight_decay(parameter.role, options.decay);
    Group& group = groups_[2 * (parameter.in_head ? head_stage + 1 : parameter.stage) + (decays ? 1 : 0)];
    const auto stages_behind = static_cast<double>(head_stage - parameter.stage) - 1;  // of the backbone's
    group.lr_multiplier = parameter.in_head ? options.head_lr_multiplier : std::pow(options.stage_lr_decay, stages_behind);
    group.weight_decay = decays ? options.weight_decay : 0.0;
    group.names.push_back(parameter.name);
    group.parameters.push_back(parameter.tensor);
    if (adamw || options.momentum > 0) group.first.push_back(at::zeros_like(parameter.tensor));
    if (adamw) group.second.push_back(at::zeros_like(parameter.tensor));
  }
  std::erase_if(groups_, [](const Group& group) { return group.names.empty(); });
}

std::vector<at::Tensor> Optimizer::gradients(const Group& group) const {
  std::vector<at::Tensor> gradients;
  for (std::size_t i = 0; i < group.parameters.size(); ++i) {
    gradients.push_back(group.parameters[i].grad());
    if (!gradients.back().defined()) {
      throw Error(ErrorCategory::kInternal, fmt::format("optimizer step: parameter {} has no gradient", group.names[i]));
    }
  }
  return gradients;
}

// The fused kernels are one pass over memory each. A momentum that starts at zero equals torch's, whose first step copies the gradient.
void Optimizer::step(double lr) {
  const c10::NoGradGuard no_gradients;
  ++updates_;
  const at::Tensor step = at::full({}, static_cast<double>(updates_), at::kFloat);
  for (Group& group : groups_) {
    const double rate = lr * group.lr_multiplier;
    const std::vector<at::Tensor> grads = gradients(group);
    if (options_.kind == OptimizerKind::kSgd) {
      at::_fused_sgd_(group.parameters, grads, group.first, group.weight_decay, options_.momentum, rate, /*dampening=*/0.0,
                      /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
    } else {
      const std::vector<at::Tensor> steps(grads.size(), step.to(grads.front().device()));
      at::_fused_adamw_(group.parameters, grads, group.first, group.second, /*max_exp_avg_sqs=*/{}, steps, rate, kBeta1, kBeta2,
                        group.weight_decay, kEpsilon, /*amsgrad=*/false, /*maximize=*/false);
    }
    for (at::Tensor& parameter : group.parameters) parameter.mutable_grad().reset();
  }
}

double Optimizer::clip_gradients(double max_norm) {
  const c10::NoGradGuard no_gradients;
  std::vector<at::Tensor> grads;
  for (const Group& group : groups_) {
    for (const at::Tensor& gradient : gradients(group)) grads.push_back(gradient);
  }
  if (grads.empty()) return 0;
  const double norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(grads))).item<double>();
  const double scale = max_norm / (norm + 1e-6);
  if (scale < 1) at::_foreach_mul_(grads, scale);
  return norm;
}

std::vector<std::pair<std::string, at::Tensor>> Optimizer::slots() const {
  const bool adamw = options_.kind == OptimizerKind::kAdamW;
  std::vector<std::pair<std::string, at::Tensor>> slots;
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.first.size(); ++i) {
      slots.emplace_back((adamw ? "exp_avg." : "momentum.") + group.names[i], group.first[i]);
      if (adamw) slots.emplace_back("exp_avg_sq." + group.names[i], group.second[i]);
    }
  }
  std::sort(slots.begin(), slots.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return slots;
}

StateDict Optimizer::state() const {
  StateDict state;
  for (const auto& [name, tensor] : slots()) state.tensors.emplace_back(name, to_host(tensor));
  const std::array<std::int64_t, 1> updates = {updates_};
  state.tensors.emplace_back("updates", make_tensor(Dtype::kInt64, {1}, std::as_bytes(std::span(updates))));
  return state;
}

void Optimizer::load(const StateDict& state) {
  const c10::NoGradGuard no_gradients;
  const auto find = [&state](const std::string& name, Dtype dtype, at::IntArrayRef shape) -> const HostTensor& {
    const HostTensor* found = state.find(name);
    if (found == nullptr || found->dtype != dtype || at::IntArrayRef(found->shape) != shape) {
      throw Error(ErrorCategory::kModel,
                  fmt::format("optimizer state: expected {} {} for {}, found {}", to_string(dtype), shape_to_string(shape), name,
                              found == nullptr ? "nothing" : fmt::format("{} {}", to_string(found->dtype), shape_to_string(found->shape))));
    }
    return *found;
  };
  for (auto& [name, tensor] : slots()) tensor.copy_(to_engine(find(name, Dtype::kFloat32, tensor.sizes())));
  std::memcpy(&updates_, find("updates", Dtype::kInt64, {1}).data().data(), sizeof updates_);
}

}  // namespace headstart
