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

// Of the features' variance, strongest first: a fit under one is a good start for the next. One that suits most is taken where nothing may
// choose: with ResNet-18 on hot dogs the best for 320 and for 1,600 photos, and as good as any for 16 and 64 (docs/recipes.md).
constexpr double kPenalties[] = {1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5};
constexpr double kUsualPenalty = 3e-4;
// Penalties are compared by their third digit of loss; the chosen one's fit is then carried to its end.
constexpr double kTrialGradient = 1e-4;

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

void expect_usable(const FeatureTable& train) {
  if (train.labels.empty()) throw Error(ErrorCategory::kData, "output layer: not one of the training photos can be read");
  if (!train.rows.isfinite().all().item<bool>()) {
    throw Error(ErrorCategory::kTraining,
                "output layer: the training photos' features are not finite, so nothing can be fitted to them; check the source "
                "weights, or choose float32");
  }
}

LabelledFeatures labelled(const Network& network, const FeatureTable& table, const at::Tensor& class_weights) {
  return {
      .features = table.rows, .labels = at::tensor(table.labels, at::kLong), .classes = network.classes(), .class_weights = class_weights};
}

// Of both tables, one after the other.
LabelledFeatures all_photos(const Network& network, const HeadFitPhotos& photos) {
  LabelledFeatures all = labelled(network, photos.train, photos.class_weights);
  if (photos.validation == nullptr || photos.validation->labels.empty()) return all;
  const LabelledFeatures validation = labelled(network, *photos.validation, photos.class_weights);
  all.features = at::cat({all.features, validation.features});
  all.labels = at::cat({all.labels, validation.labels});
  return all;
}

LogisticFit fit_in(const Network& network) {
  return {.weight = network.head_tensor(ParameterRole::kWeight).to(at::kCPU, at::kDouble),
          .bias = network.head_tensor(ParameterRole::kBias).to(at::kCPU, at::kDouble)};
}

const HeadTrial& chosen_of(std::span<const HeadTrial> trials) {
  return *std::find_if(trials.begin(), trials.end(), [](const HeadTrial& trial) { return trial.chosen; });
}

// Under one penalty after the other, until two in a row are no better on the validation photos; the last fit is the chosen one's.
LogisticFit choose_penalty(const LabelledFeatures& train, const LabelledFeatures& validation, double variance,
                           std::vector<HeadTrial>& trials) {
  constexpr int kMostWithoutGain = 2;
  LogisticFit fit, best;
  std::size_t chosen = 0;
  for (const double penalty : kPenalties) {
    fit = fit_logistic(train, penalty * variance, trials.empty() ? nullptr : &fit, kTrialGradient);
    const LogisticScore score = score_logistic(fit, validation);
    trials.push_back({.penalty = penalty, .train_loss = fit.loss, .validation_loss = score.loss, .validation_top1 = score.top1});
    if (trials.size() == 1 || score.loss < trials[chosen].validation_loss) {
      chosen = trials.size() - 1;
      best = fit;
    } else if (trials.size() - chosen > kMostWithoutGain) {
      break;
    }
  }
  trials[chosen].chosen = true;
  return best;
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

void fit_head_biases(Network& network, const HeadFitPhotos& photos, const std::vector<HeadSource>& sources) {
  const c10::NoGradGuard no_gradients;
  expect_usable(photos.train);
  const at::Tensor& bias = network.head_tensor(ParameterRole::kBias);
  const at::Tensor labels = at::tensor(photos.train.labels, at::kLong);
  bias.add_(fit_biases(network.head(photos.train.rows), labels, without_row(sources), photos.class_weights).to(bias.options()));
}

std::vector<HeadTrial> fit_head(Network& network, const HeadFitPhotos& photos) {
  const c10::NoGradGuard no_gradients;
  expect_usable(photos.train);
  const LabelledFeatures train = labelled(network, photos.train, photos.class_weights);
  const double variance = feature_variance(train.features);
  std::vector<HeadTrial> trials;
  LogisticFit fit;
  if (photos.validation != nullptr && !photos.validation->labels.empty()) {
    fit = choose_penalty(train, labelled(network, *photos.validation, photos.class_weights), variance, trials);
    fit = fit_logistic(train, chosen_of(trials).penalty * variance, &fit);
  } else {
    fit = fit_logistic(train, kUsualPenalty * variance);
    trials.push_back({.penalty = kUsualPenalty, .train_loss = fit.loss, .chosen = true});
  }
  network.head_tensor(ParameterRole::kWeight).copy_(fit.weight);
  network.head_tensor(ParameterRole::kBias).copy_(fit.bias);
  return trials;
}

LogisticScore cross_validate_head(const Network& network, const HeadFitPhotos& photos, std::span<const HeadTrial> trials) {
  constexpr int kFolds = 5;
  const double l2 = chosen_of(trials).penalty * feature_variance(photos.train.rows);
  return cross_validate(all_photos(network, photos), l2, kFolds, fit_in(network), kTrialGradient);
}

StateDict refit_gain(const Network& network, const HeadFitPhotos& photos, std::span<const HeadTrial> trials) {
  const c10::NoGradGuard no_gradients;
  const LabelledFeatures all = all_photos(network, photos);
  const LogisticFit first = fit_in(network);
  const LogisticFit fit = fit_logistic(all, chosen_of(trials).penalty * feature_variance(all.features), &first);
  StateDict gain;
  for (const NamedParameter& parameter : network.parameters()) {
    if (!parameter.in_head) continue;
    const bool is_weight = parameter.role == ParameterRole::kWeight;
    const at::Tensor change = (is_weight ? fit.weight - first.weight : fit.bias - first.bias).to(at::kFloat);
    gain.tensors.emplace_back(parameter.name, to_host(change));
  }
  return gain;
}

void add_refit_gain(StateDict& weights, const StateDict& gain) {
  for (auto& [name, tensor] : weights.tensors) {
    if (const HostTensor* const change = gain.find(name)) tensor = to_host(engine_view(tensor) + engine_view(*change));
  }
}

}  // namespace headstart
