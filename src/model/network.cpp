#include "model/network.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

#include "headstart/error.h"
#include "headstart/text.h"
#include "model/convert.h"
#include "model/initialise.h"

namespace headstart {
namespace {

constexpr std::size_t kMostNamed = 10;  // names a list of a message

// What does not fit between a network and a state dict.
struct Mismatch {
  std::vector<std::string> missing, unexpected, differing;

  bool any() const { return !missing.empty() || !unexpected.empty() || !differing.empty(); }
  std::string text() const {
    std::string lists;
    const auto add = [&lists](std::string_view what, const std::vector<std::string>& names) {
      if (names.empty()) return;
      lists += fmt::format("{}{} {}: {}", lists.empty() ? "" : "; ", names.size(), what, join_some(names, kMostNamed));
    };
    add("missing", missing);
    add("unexpected", unexpected);
    add("of another shape or type", differing);
    return lists;
  }
};

// The reason why a source tensor cannot become `wanted`, or "".
std::string difference(const at::Tensor& wanted, const HostTensor& source) {
  if (wanted.sizes() != at::IntArrayRef(source.shape)) {
    return fmt::format("expected {}, found {}", shape_to_string(wanted.sizes()), shape_to_string(source.shape));
  }
  if (!is_floating_point(source.dtype)) return fmt::format("expected floating point values, found {}", to_string(source.dtype));
  return "";
}

}  // namespace

at::Tensor Network::run_stages(at::Tensor x, std::size_t first, std::size_t last, NormPass norm) const {
  for (std::size_t i = first; i < last; ++i) x = stages_[i].run(std::move(x), norm);
  return x;
}

at::Tensor Network::pool(const at::Tensor& x) { return at::adaptive_avg_pool2d(x, {1, 1}).flatten(1); }

at::Tensor Network::head(const at::Tensor& features) const {
  const at::Tensor& weight = head_tensor(ParameterRole::kWeight);
  return at::linear(features.to(weight.scalar_type()), weight, head_tensor(ParameterRole::kBias));
}

std::int64_t Network::feature_count() const { return head_tensor(ParameterRole::kWeight).size(1); }

std::int64_t Network::classes() const { return head_tensor(ParameterRole::kWeight).size(0); }

const at::Tensor& Network::head_tensor(ParameterRole role) const { return parameters_[head_index(role)].tensor; }

void Network::to(const at::Device& device) {
  const c10::NoGradGuard no_grad;
  for (NamedParameter& parameter : parameters_) parameter.tensor.set_data(parameter.tensor.to(device));
  for (NamedBuffer& buffer : buffers_) buffer.tensor.set_data(buffer.tensor.to(device));
}

void Network::replace_head(std::int64_t classes, const NewHead& head) {
  if (classes < 1) throw Error(ErrorCategory::kUsage, fmt::format("output layer: at least one class is needed, not {}", classes));
  const std::int64_t features = feature_count();
  at::Tensor& weight = parameters_[head_index(ParameterRole::kWeight)].tensor;
  at::Tensor& bias = parameters_[head_index(ParameterRole::kBias)].tensor;
  const at::Tensor new_weight = at::zeros({classes, features}, at::kFloat), new_bias = at::zeros({classes}, at::kFloat);
  if (head.weight == HeadInit::kXavier) {
    fill_uniform(new_weight, std::sqrt(6.0 / static_cast<double>(classes + features)), RandomStream(head.seed, Purpose::kHeadInit));
  }
  if (head.bias == HeadBias::kUniform) {
    fill_uniform(new_bias, 1.0 / std::sqrt(static_cast<double>(features)),
                 RandomStream(head.seed, Purpose::kHeadInit, /*epoch=*/0, /*sample=*/1));
  }
  bias = new_bias.to(bias.options());
  weight = new_weight.to(weight.options());
}

void Network::load(const StateDict& state, bool with_head) {
  std::unordered_map<std::string_view, const HostTensor*> sources;
  for (const auto& [name, tensor] : state.tensors) sources.emplace(name, &tensor);
  const std::string head = head_prefix();
  Mismatch mismatch;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;  // to, from
  for (const Place place : order_) {
    const NamedView wanted = view(place);
    const auto source = sources.find(wanted.name);
    if (wanted.in_head && !with_head) continue;
    if (source == sources.end()) {
      mismatch.missing.push_back(wanted.name);
    } else if (const std::string reason = difference(wanted.tensor, *source->second); !reason.empty()) {
      mismatch.differing.push_back(fmt::format("{} ({})", wanted.name, reason));
    } else {
      copies.emplace_back(wanted.tensor, engine_view(*source->second));
    }
    if (source != sources.end()) sources.erase(source);
  }
  for (const auto& [name, tensor] : state.tensors) {
    if (!sources.contains(name) || name.ends_with(".num_batches_tracked") || (!with_head && name.starts_with(head))) continue;
    mismatch.unexpected.push_back(name);
  }
  if (mismatch.any()) {
    throw Error(ErrorCategory::kModel,
                fmt::format("loading weights: the tensors are not those of {}: {}. Check that the file holds this architecture's weights",
                            architecture_, mismatch.text()));
  }
  const c10::NoGradGuard no_grad;
  for (const auto& [to, from] : copies) to.copy_(from);
}

StateDict Network::state() const {
  StateDict state;
  state.tensors.reserve(order_.size());
  for (const auto& [name, tensor] : tensors()) state.tensors.emplace_back(name, to_host(tensor));
  return state;
}

std::vector<std::pair<std::string, at::Tensor>> Network::tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  all.reserve(order_.size());
  for (const Place place : order_) {
    const NamedView entry = view(place);
    all.emplace_back(entry.name, entry.tensor);
  }
  return all;
}

at::Tensor& Network::add_parameter(std::string name, std::vector<std::int64_t> shape, ParameterRole role, bool in_head) {
  order_.push_back({.is_buffer = false, .index = parameters_.size()});
  parameters_.push_back({.name = std::move(name),
                         .tensor = at::zeros(shape, at::TensorOptions(at::kFloat).device(build_device_)),
                         .role = role,
                         .stage = stages_.size(),
                         .in_head = in_head});
  return parameters_.back().tensor;
}

at::Tensor& Network::add_buffer(std::string name, std::vector<std::int64_t> shape, float value) {
  order_.push_back({.is_buffer = true, .index = buffers_.size()});
  buffers_.push_back({.name = std::move(name), .tensor = at::full(shape, value, at::TensorOptions(at::kFloat).device(build_device_))});
  return buffers_.back().tensor;
}

void Network::add_stage(std::string name, std::function<at::Tensor(at::Tensor x, NormPass norm)> run) {
  stages_.push_back({.name = std::move(name), .run = std::move(run)});
}

Network::NamedView Network::view(Place place) const {
  if (place.is_buffer) return {.name = buffers_[place.index].name, .tensor = buffers_[place.index].tensor};
  const NamedParameter& parameter = parameters_[place.index];
  return {.name = parameter.name, .tensor = parameter.tensor, .in_head = parameter.in_head};
}

std::string Network::head_prefix() const {
  const std::string& name = parameters_[head_index(ParameterRole::kWeight)].name;
  return name.substr(0, name.rfind('.') + 1);
}

std::size_t Network::head_index(ParameterRole role) const {
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    if (parameters_[i].in_head && parameters_[i].role == role) return i;
  }
  throw Error(ErrorCategory::kInternal, fmt::format("network {}: there is no output layer", architecture_));
}

}  // namespace headstart
