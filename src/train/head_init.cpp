#include "train/head_init.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "headstart/error.h"
#include "model/convert.h"
#include "train/logistic.h"

namespace headstart {
namespace {

// Of the features' variance, strongest first: a fit under one is a good start for the next.
constexpr double kPenalties[] = {1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5};
// Penalties are compared by their third digit of loss; the chosen one's fit is then carried to its end.
constexpr double kTrialGradient = 1e-4;

// Where nothing may choose, or too little is there to choose by: near the best from 10 to 1,600 photos (docs/evidence.md).
double usual_penalty(const FeatureTable& train) { return std::clamp(0.5 / static_cast<double>(train.labels.size()), 3e-4, 1e-3); }

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

// Features with what the source's output layer makes of them for the classes that it knows beside them, a column a class. They tell nothing
// new, as they are sums of the features; but each varies as much as all features together, so that a penalty that is the same for all
// columns hardly holds a weight back that points where the source's own row does: few photos are enough to find that. What is fitted to the
// wider features is the same function of the features alone.
class KnownColumns {
 public:
  explicit KnownColumns(const HeadFitPhotos& photos) {
    if (!photos.known_rows.weights.defined()) return;
    const at::Tensor features = photos.train.rows.to(at::kCPU, at::kDouble);
    const at::Tensor rows = photos.known_rows.weights.to(at::kDouble).t();
    const at::Tensor variance = features.matmul(rows).var(0, /*unbiased=*/false);
    const at::Tensor scale = (feature_variance(features) / variance).sqrt();
    directions_ = (rows * scale.where(variance > 0, at::zeros({}, at::kDouble))).to(at::kFloat);
  }

  LabelledFeatures beside(LabelledFeatures data) const {
    if (!directions_.defined()) return data;
    data.features = at::cat({data.features, data.features.matmul(directions_.to(data.features.device()))}, 1);
    return data;
  }
  // To begin a fit with.
  LogisticFit widened(LogisticFit fit) const {
    if (directions_.defined()) fit.weight = at::cat({fit.weight, fit.weight.new_zeros({fit.weight.size(0), directions_.size(1)})}, 1);
    return fit;
  }
  LogisticFit of_features(LogisticFit fit) const {
    if (!directions_.defined()) return fit;
    const std::int64_t features = directions_.size(0);
    fit.weight =
        fit.weight.narrow(1, 0, features) + fit.weight.narrow(1, features, directions_.size(1)).matmul(directions_.to(at::kDouble).t());
    return fit;
  }

 private:
  at::Tensor directions_;  // float [F, classes that are known], or undefined
};

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

// Whether a class's own photos have clearly higher scores [N] than the others, by the share of pairs and the rank test of Mann and Whitney
// (normal approximation, with its correction for continuity).
bool is_borne_out(const at::Tensor& scores, const std::vector<std::int64_t>& labels, std::int64_t label) {
  constexpr std::int64_t kMostPhotos = 400;  // of the class: with more the fit finds its way alone
  constexpr double kShareOfPairs = 0.8;
  constexpr double kSure = 1.645;  // standard deviations: a row that means something else gets there one time in twenty
  const at::Tensor is_own = at::tensor(labels, at::kLong).eq(label), on_cpu = scores.to(at::kCPU);
  const at::Tensor own = on_cpu.masked_select(is_own), others = std::get<0>(on_cpu.masked_select(is_own.logical_not()).sort());
  const auto a = static_cast<double>(own.numel()), b = static_cast<double>(others.numel());
  if (a == 0 || b == 0 || own.numel() > kMostPhotos) return false;
  const auto pairs = [&](bool with_ties) { return at::searchsorted(others, own, /*out_int32=*/false, with_ties).sum().item<double>(); };
  const double won = (pairs(false) + pairs(true)) / 2;
  const double deviations = (won - a * b / 2 - 0.5) / std::sqrt(a * b * (a + b + 1) / 12);
  return won >= kShareOfPairs * a * b && deviations >= kSure;
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

KnownRows known_rows(const Network& network, const Source& source, std::vector<HeadSource> sources) {
  const c10::NoGradGuard no_gradients;
  std::vector<std::int64_t> rows;
  for (const HeadSource& one : sources) {
    if (one.row >= 0) rows.push_back(one.row);
  }
  if (rows.empty()) return {};
  const at::Tensor weight = source_tensor(source, "weight", {std::ssize(source.classes), network.feature_count()});
  return {.sources = std::move(sources), .weights = weight.index_select(0, at::tensor(rows, at::kLong))};
}

KnownRows helpful_rows(const KnownRows& known, const FeatureTable& train) {
  const c10::NoGradGuard no_gradients;
  KnownRows helpful = known;
  std::vector<std::int64_t> kept;
  std::int64_t row = 0;
  for (std::size_t label = 0; label < known.sources.size(); ++label) {
    if (known.sources[label].row < 0) continue;
    if (is_borne_out(train.rows.matmul(known.weights[row].to(train.rows.device())), train.labels, static_cast<std::int64_t>(label))) {
      kept.push_back(row);
    } else {
      helpful.sources[label] = {};
    }
    ++row;
  }
  if (kept.empty()) return {};
  helpful.weights = known.weights.index_select(0, at::tensor(kept, at::kLong));
  return helpful;
}

std::vector<HeadTrial> fit_head(Network& network, const HeadFitPhotos& photos) {
  const c10::NoGradGuard no_gradients;
  expect_usable(photos.train);
  const KnownColumns known(photos);
  const LabelledFeatures train = known.beside(labelled(network, photos.train, photos.class_weights));
  const double variance = feature_variance(photos.train.rows);
  LabelledFeatures validation;
  if (photos.validation != nullptr && !photos.validation->labels.empty()) {
    validation = known.beside(labelled(network, *photos.validation, photos.class_weights));
  }
  std::vector<HeadTrial> trials;
  LogisticFit fit;
  if (validation.features.defined() && validation.labels.size(0) >= kFewestToJudge) {
    fit = choose_penalty(train, validation, variance, trials);
    fit = fit_logistic(train, chosen_of(trials).penalty * variance, &fit);
  } else {
    const double penalty = usual_penalty(photos.train);
    fit = fit_logistic(train, penalty * variance);
    const LogisticScore score = validation.features.defined() ? score_logistic(fit, validation) : LogisticScore{};
    trials.push_back(
        {.penalty = penalty, .train_loss = fit.loss, .validation_loss = score.loss, .validation_top1 = score.top1, .chosen = true});
  }
  fit = known.of_features(std::move(fit));
  network.head_tensor(ParameterRole::kWeight).copy_(fit.weight);
  network.head_tensor(ParameterRole::kBias).copy_(fit.bias);
  return trials;
}

LogisticScore cross_validate_head(const Network& network, const HeadFitPhotos& photos, std::span<const HeadTrial> trials) {
  constexpr int kFolds = 5;
  const double l2 = chosen_of(trials).penalty * feature_variance(photos.train.rows);
  const KnownColumns known(photos);
  return cross_validate(known.beside(all_photos(network, photos)), l2, kFolds, kTrialGradient);
}

StateDict refit_gain(const Network& network, const HeadFitPhotos& photos, std::span<const HeadTrial> trials) {
  const c10::NoGradGuard no_gradients;
  const LabelledFeatures all = all_photos(network, photos);
  const KnownColumns known(photos);
  const LogisticFit first = fit_in(network), start = known.widened(first);
  const double l2 = chosen_of(trials).penalty * feature_variance(all.features);
  const LogisticFit fit = known.of_features(fit_logistic(known.beside(all), l2, &start));
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
