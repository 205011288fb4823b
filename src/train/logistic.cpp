#include "train/logistic.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "train/lbfgs.h"

namespace headstart {
namespace {

at::Tensor plain(const at::Tensor& tensor) { return tensor.detach().to(at::TensorOptions(at::kCPU).dtype(at::kDouble)); }

// Each photo's share of the loss, float64 [N], summing to 1.
at::Tensor photo_shares(const at::Tensor& labels, const at::Tensor& class_weights) {
  const at::Tensor weights =
      class_weights.defined() ? plain(class_weights).index_select(0, labels) : at::ones({labels.size(0)}, at::kDouble);
  return weights / weights.sum();
}

struct Loss {
  double value = 0;
  at::Tensor gradient;  // with respect to the logits, float64 [N, classes]
};

Loss cross_entropy(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& shares) {
  const at::Tensor log_probabilities = logits.log_softmax(1);
  const at::Tensor column = labels.unsqueeze(1);
  Loss loss{.value = -(log_probabilities.gather(1, column).squeeze(1) * shares).sum().item<double>(), .gradient = log_probabilities.exp()};
  loss.gradient.scatter_add_(1, column, at::full_like(column, -1, loss.gradient.options()));
  loss.gradient *= shares.unsqueeze(1);
  return loss;
}

// features: float64 [N, F].
at::Tensor logits_of(const LogisticFit& fit, const at::Tensor& features) { return at::addmm(fit.bias, features, fit.weight.t()); }

LogisticScore score_logits(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& class_weights) {
  return {.loss = cross_entropy(logits, labels, photo_shares(labels, class_weights)).value,
          .top1 = logits.argmax(1).eq(labels).to(at::kDouble).mean().item<double>()};
}

// The fold of each photo, int64 [N]; -1: of none.
at::Tensor folds_of(const at::Tensor& labels, std::int64_t classes, int folds) {
  at::Tensor fold = at::empty_like(labels);
  for (std::int64_t label = 0; label < classes; ++label) {
    const at::Tensor photos = labels.eq(label).nonzero().squeeze(1);
    const at::Tensor in_turn = at::arange(photos.size(0), at::kLong).remainder(folds);
    fold.index_copy_(0, photos, photos.size(0) == 1 ? in_turn - 1 : in_turn);
  }
  return fold;
}

LabelledFeatures part_of(const LabelledFeatures& data, const at::Tensor& mask) {
  const at::Tensor photos = mask.nonzero().squeeze(1);
  LabelledFeatures part = data;
  part.features = data.features.index_select(0, photos);
  part.labels = data.labels.index_select(0, photos);
  return part;
}

}  // namespace

double feature_variance(const at::Tensor& features) {
  const at::Tensor values = plain(features);
  return (values - values.mean(0)).square().sum(1).mean().item<double>();
}

// Features are centred, which the free biases make up for, and scaled by one number, which the penalty makes up for: the same problem,
// whose Hessian is better conditioned.
LogisticFit fit_logistic(const LabelledFeatures& data, double l2, const LogisticFit* start, double gradient_norm) {
  const c10::NoGradGuard no_gradients;
  const at::Tensor labels = data.labels.to(at::kCPU), shares = photo_shares(labels, data.class_weights);
  const at::Tensor features = plain(data.features), mean = features.mean(0);
  const double variance = feature_variance(features), scale = variance > 0 ? std::sqrt(variance) : 1;
  const at::Tensor scaled = (features - mean) / scale;
  const double penalty = l2 / (scale * scale);
  const std::int64_t classes = data.classes, width = features.size(1);
  const auto weight_of = [&](const at::Tensor& x) { return x.narrow(0, 0, classes * width).view({classes, width}); };
  const auto bias_of = [&](const at::Tensor& x) { return x.narrow(0, classes * width, classes); };
  const auto objective = [&](const at::Tensor& x) {
    const at::Tensor weight = weight_of(x);
    const Loss loss = cross_entropy(at::addmm(bias_of(x), scaled, weight.t()), labels, shares);
    const at::Tensor by_weight = loss.gradient.t().mm(scaled) + penalty * weight;
    return ValueAndGradient{.value = loss.value + penalty / 2 * weight.square().sum().item<double>(),
                            .gradient = at::cat({by_weight.flatten(), loss.gradient.sum(0)})};
  };
  at::Tensor first = at::zeros({classes * (width + 1)}, at::kDouble);
  if (start != nullptr) first = at::cat({(start->weight * scale).flatten(), start->bias + start->weight.mv(mean)});
  const Minimum minimum = minimise(objective, first, {.gradient_norm = gradient_norm});
  LogisticFit fit{.weight = weight_of(minimum.x) / scale};
  fit.bias = bias_of(minimum.x) - fit.weight.mv(mean);
  fit.loss = minimum.value - l2 / 2 * fit.weight.square().sum().item<double>();
  fit.gradient_norm = minimum.gradient_norm;
  fit.iterations = minimum.iterations;
  return fit;
}

LogisticScore score_logistic(const LogisticFit& fit, const LabelledFeatures& data) {
  const c10::NoGradGuard no_gradients;
  return score_logits(logits_of(fit, plain(data.features)), data.labels.to(at::kCPU), data.class_weights);
}

// Each fit begins at zero: a fit to all photos would be a quicker start, but has seen those that are held out, and where photos are few and
// the penalty weak the search would hardly leave it.
LogisticScore cross_validate(const LabelledFeatures& data, double l2, int folds, double gradient_norm) {
  const c10::NoGradGuard no_gradients;
  LabelledFeatures all = data;
  all.features = plain(data.features);
  all.labels = data.labels.to(at::kCPU);
  const at::Tensor fold = folds_of(all.labels, all.classes, folds);
  std::vector<at::Tensor> logits, labels;
  for (int i = 0; i < folds; ++i) {
    const LabelledFeatures held_out = part_of(all, fold.eq(i)), others = part_of(all, fold.ne(i));
    if (held_out.labels.numel() == 0) continue;
    logits.push_back(logits_of(fit_logistic(others, l2, nullptr, gradient_norm), held_out.features));
    labels.push_back(held_out.labels);
  }
  if (logits.empty()) return {};
  return score_logits(at::cat(logits), at::cat(labels), data.class_weights);
}

at::Tensor fit_biases(const at::Tensor& logits, const at::Tensor& labels, const std::vector<std::int64_t>& free_classes,
                      const at::Tensor& class_weights) {
  constexpr double kPull = 1e-6;  // of which a class with photos feels nothing: it moves a bias of 10 by about 1e-4
  const c10::NoGradGuard no_gradients;
  const at::Tensor fixed = plain(logits), where = labels.to(at::kCPU), shares = photo_shares(where, class_weights);
  const at::Tensor columns = at::tensor(free_classes, at::kLong);
  const auto spread = [&](const at::Tensor& x) { return at::zeros({fixed.size(1)}, at::kDouble).index_copy(0, columns, x); };
  const auto objective = [&](const at::Tensor& x) {
    const Loss loss = cross_entropy(fixed + spread(x), where, shares);
    return ValueAndGradient{.value = loss.value + kPull / 2 * x.square().sum().item<double>(),
                            .gradient = loss.gradient.sum(0).index_select(0, columns) + kPull * x};
  };
  return spread(minimise(objective, at::zeros({columns.size(0)}, at::kDouble)).x);
}

}  // namespace headstart
