#include "model/initialise.h"

#include <cmath>
#include <numbers>

#include "model/parallel.h"

namespace headstart {
namespace {

std::span<float> values(const at::Tensor& tensor) { return {tensor.mutable_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())}; }

// sqrt(2 / fan_out) as torchvision's ResNet. A depthwise convolution's channels are networks of their own: its fan-out is the kernel's
// area, as in TensorFlow's EfficientNet.
double kaiming_deviation(const at::Tensor& weight) {
  const bool depthwise = weight.size(1) == 1;
  const std::int64_t fan_out = (depthwise ? 1 : weight.size(0)) * weight.size(2) * weight.size(3);
  return std::sqrt(2.0 / static_cast<double>(fan_out));
}

// [out, in / groups, h, w] or [out, in]: fans count the kernel's area, as MXNet and PyTorch both do.
double xavier_bound(const at::Tensor& weight) {
  const std::int64_t area = weight.dim() == 4 ? weight.size(2) * weight.size(3) : 1;
  return std::sqrt(6.0 / static_cast<double>((weight.size(0) + weight.size(1)) * area));
}

// Weights and biases of convolutions and of the output layer, by `draw`; norms 1 and 0.
template <typename Draw>
void initialise_each(Network& network, std::uint64_t seed, const Draw& draw) {
  const auto& parameters = network.parameters();
  in_parallel(parameters.size(), [&](std::size_t i) {
    const NamedParameter& parameter = parameters[i];
    if (parameter.role == ParameterRole::kNormScale || parameter.role == ParameterRole::kNormShift) {
      const float constant = parameter.role == ParameterRole::kNormScale ? 1 : 0;
      for (float& value : values(parameter.tensor)) value = constant;
    } else {
      draw(parameter, RandomStream(seed, Purpose::kHeadInit, /*epoch=*/1, /*sample=*/static_cast<std::uint32_t>(i)));
    }
  });
}

}  // namespace

void initialise(Network& network, std::uint64_t seed) {
  const auto features = static_cast<double>(network.feature_count());
  initialise_each(network, seed, [features](const NamedParameter& parameter, RandomStream stream) {
    if (parameter.role == ParameterRole::kBias && !parameter.in_head) {  // a convolution's, which the norm behind it would take away
      for (float& value : values(parameter.tensor)) value = 0;
      return;
    }
    if (parameter.tensor.dim() == 4) return fill_normal(parameter.tensor, kaiming_deviation(parameter.tensor), stream);
    fill_uniform(parameter.tensor, 1.0 / std::sqrt(features), stream);
  });
}

void initialise_xavier(Network& network, std::uint64_t seed) {
  initialise_each(network, seed, [](const NamedParameter& parameter, RandomStream stream) {
    if (parameter.role == ParameterRole::kWeight) return fill_uniform(parameter.tensor, xavier_bound(parameter.tensor), stream);
    for (float& value : values(parameter.tensor)) value = 0;
  });
}

void fill_uniform(const at::Tensor& tensor, double bound, RandomStream stream) {
  for (float& value : values(tensor)) value = static_cast<float>(stream.uniform(-bound, bound));
}

void fill_normal(const at::Tensor& tensor, double deviation, RandomStream stream) {
  const std::span<float> out = values(tensor);
  for (std::size_t i = 0; i < out.size(); i += 2) {
    const double radius = deviation * std::sqrt(-2.0 * std::log(1.0 - stream.uniform()));
    const double angle = 2.0 * std::numbers::pi * stream.uniform();
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < out.size()) out[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

}  // namespace headstart
