#include "train/head_init.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "headstart/error.h"
#include "model/convert.h"
#include "train/logistic.h"

namespace headstart {
namespace {

// The probe's penalty over the features' variance. With ResNet-18 on hot dogs the best of 1e-4 to 3e-2 for 320 and for 1,600 photos, and as
// good as any for 16 and 64 (docs/recipes.md).
constexpr double kProbePenalty = 3e-4;

at::Tensor source_tensor(const Source& source, const char* part, at::IntArrayRef shape) {
  const std::string name = fmt::format("{}.{}", source.architecture->head_prefix, part);
  const HostTensor* const tensor = source.weights.find(name);
  if (tensor == nullptr || at::IntArrayRef(tensor->shape) != shape || !is_floating_point(tensor->dtype)) {
    throw Error(
        ErrorCategory::kModel,
        fmt::format(
            "output layer: {} has {} as {}, expected floating point numbers of shape {}; choose another source model, or head_init probe",
            source.model, tensor == nullptr ? "no tensor" : shape_to_string(tensor->shape), name, shape_to_string(shape)));
  }
  return engine_view(*tensor).to(at::kFloat);
}

std::vector<std::int64_t> without_row(const std::vector<HeadSource>& sources) {
  std::vector<std::int64_t> classes;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].row < 0) classes.push_back(static_cast<std::int64_t>(i));
  }
  return classes;
}

// `rows` is a weight [source rows, F] or a bias [source rows]; `out` [classes, F] or [classes].
void copy_rows(const at::Tensor& rows, const at::Tensor& out, const std::vector<HeadSource>& sources) {
  std::vector<std::int64_t> others;
  for (std::int64_t row = 0; row < rows.size(0); ++row) {
    if (std::none_of(sources.begin(), sources.end(), [row](const HeadSource& source) { return source.row == row; })) others.push_back(row);
  }
  const at::Tensor mean = others.empty() ? at::zeros_like(rows[0]) : rows.index_select(0, at::tensor(others, at::kLong)).mean(0);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    out[static_cast<std::int64_t>(i)].copy_(sources[i].row < 0 ? mean : rows[sources[i].row]);
  }
}

}  // namespace

void copy_head_rows(Network& network, const Source& source, const std::vector<HeadSource>& sources) {
  const c10::NoGradGuard no_gradients;
  const auto rows = static_cast<std::int64_t>(source.classes.size());
  const at::Tensor &weight = network.head_tensor(ParameterRole::kWeight), &bias = network.head_tensor(ParameterRole::kBias);
  copy_rows(source_tensor(source, "weight", {rows, network.feature_count()}), weight, sources);
  copy_rows(source_tensor(source, "bias", {rows}), bias, sources);
}

bool needs_head_fit(const ResolvedOptions& options, const std::vector<HeadSource>& sources) {
  return options.head_init == HeadInit::kProbe || (options.head_init == HeadInit::kClass && !without_row(sources).empty());
}

void fit_head(Network& network, const FeatureTable& train, const std::vector<HeadSource>& sources, const at::Tensor& class_weights) {
  if (train.labels.empty()) throw Error(ErrorCategory::kData, "output layer: not one of the training photos can be read");
  if (!train.rows.isfinite().all().item<bool>()) {
    throw Error(ErrorCategory::kTraining,
                "output layer: the training photos' features are not finite, so nothing can be fitted to them; check the source "
                "weights, or choose float32");
  }
  const c10::NoGradGuard no_gradients;
  const at::Tensor labels = at::tensor(train.labels, at::kLong);
  const at::Tensor &weight = network.head_tensor(ParameterRole::kWeight), &bias = network.head_tensor(ParameterRole::kBias);
  if (sources.empty()) {
    const LogisticFit fit =
        fit_logistic({.features = train.rows, .labels = labels, .classes = network.classes(), .class_weights = class_weights},
                     kProbePenalty * feature_variance(train.rows));
    weight.copy_(fit.weight);
    bias.copy_(fit.bias);
  } else {
    bias.add_(fit_biases(network.head(train.rows), labels, without_row(sources), class_weights).to(bias.options()));
  }
}

}  // namespace headstart
