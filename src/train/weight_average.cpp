#include "train/weight_average.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>

#include "headstart/error.h"
#include "model/convert.h"

namespace headstart {

WeightAverage::WeightAverage(std::span<const NamedParameter> parameters, double decay) : decay_(decay) {
  if (decay <= 0) return;
  const c10::NoGradGuard no_gradients;
  for (const NamedParameter& parameter : parameters) {
    if (!parameter.tensor.requires_grad()) continue;
    names_.push_back(parameter.name);
    parameters_.push_back(parameter.tensor);
    averages_.push_back(parameter.tensor.detach().clone());
  }
}

void WeightAverage::update() {
  if (averages_.empty()) return;
  const c10::NoGradGuard no_gradients;
  const double newest = std::max(1 - decay_, 1 / static_cast<double>(++updates_ + 1));
  at::_foreach_lerp_(averages_, parameters_, newest);
}

void WeightAverage::swap() {
  const c10::NoGradGuard no_gradients;
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    const at::Tensor kept = averages_[i].clone();
    averages_[i].copy_(parameters_[i]);
    parameters_[i].copy_(kept);
  }
}

StateDict WeightAverage::state() const {
  StateDict state;
  if (averages_.empty()) return state;
  for (std::size_t i = 0; i < averages_.size(); ++i) state.tensors.emplace_back(names_[i], to_host(averages_[i]));
  state.tensors.emplace_back("updates", to_host(at::full({1}, updates_, at::kLong)));
  return state;
}

void WeightAverage::load(const StateDict& state) {
  const c10::NoGradGuard no_gradients;
  const auto find = [&state](const std::string& name, const at::Tensor& like) {
    const HostTensor* const tensor = state.find(name);
    if (tensor == nullptr || at::IntArrayRef(tensor->shape) != like.sizes()) {
      throw Error(ErrorCategory::kModel, fmt::format("checkpoint: the average of {} is missing or of another shape", name));
    }
    return to_engine(*tensor);
  };
  if (averages_.empty()) return;
  for (std::size_t i = 0; i < averages_.size(); ++i) averages_[i].copy_(find(names_[i], averages_[i]));
  updates_ = find("updates", at::zeros({1}, at::kLong)).item<std::int64_t>();
}

}  // namespace headstart
