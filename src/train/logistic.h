// Multinomial logistic regression in float64: what the probe fits on stored features.
//
// The optimum is unique (convex, L2 on the weights; biases sum to zero) and found to the last digits that matter, so nothing depends on a
// seed; the same thread count gives the same bits. Thread-safety: pure functions. Tensors on any device; the work is done on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace headstart {

struct LabelledFeatures {
  at::Tensor features;  // float [N, F], N at least 1
  at::Tensor labels;    // int64 [N], each in [0, classes)
  std::int64_t classes = 0;
  at::Tensor class_weights;  // float [classes], a photo's weight by its class; undefined: 1
};

struct LogisticFit {
  at::Tensor weight;         // float64 [classes, F]
  at::Tensor bias;           // float64 [classes], sums to 0
  double loss = 0;           // weighted mean cross-entropy, nats, without the penalty
  double gradient_norm = 0;  // of the objective, with respect to weight and bias
  int iterations = 0;
};

// Minimises weighted mean cross-entropy + l2 / 2 * (sum of squared weights); biases are free. l2 is positive. scikit-learn's
// LogisticRegression(C) on N photos of weight 1 is l2 = 1 / (C * N). `start` is where the search begins (zero for nullptr): it decides how
// long it takes, not where it ends. Stops at `gradient_norm` of the objective in centred features of unit variance.
LogisticFit fit_logistic(const LabelledFeatures& data, double l2, const LogisticFit* start = nullptr, double gradient_norm = 1e-8);

// What a fit makes of photos: weighted mean cross-entropy in nats, and the share that it names right.
struct LogisticScore {
  double loss = 0;
  double top1 = 0;
};
LogisticScore score_logistic(const LogisticFit& fit, const LabelledFeatures& data);

// All photos together, each scored by a fit to the photos of the other folds. A class's photos go to the folds in turn; the only photo of a
// class is in every fit and is not scored. `gradient_norm` is that of each fit. Zeros where no class has two photos.
LogisticScore cross_validate(const LabelledFeatures& data, double l2, int folds, double gradient_norm);

// The mean squared distance of the features from their mean: the scale on which an l2 is strong or weak. float [N, F].
double feature_variance(const at::Tensor& features);

// What has to be added to the logits [N, classes] of some classes so that the weighted mean cross-entropy is least; the other classes get
// nothing. Returns float64 [classes]. A class without photos would want minus infinity: a weak pull to zero keeps it finite.
at::Tensor fit_biases(const at::Tensor& logits, const at::Tensor& labels, const std::vector<std::int64_t>& free_classes,
                      const at::Tensor& class_weights);

}  // namespace headstart
