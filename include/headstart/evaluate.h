// Evaluation: metrics of predictions against labels.
//
// Thread-safety: pure functions; evaluate() uses a const Classifier.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "headstart/classifier.h"
#include "headstart/dataset.h"

namespace headstart {

struct Interval {
  double low = 0;
  double high = 0;
};

// Shares in [0, 1]. A ratio whose denominator is zero is 0, as scikit-learn's zero_division=0.
struct ClassMetrics {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  std::int64_t support = 0;  // photos with this true label
};

struct Metrics {
  std::int64_t photos = 0;
  double top1 = 0;         // accuracy
  double top5 = 0;         // with fewer than 5 classes: all of them, so 1
  Interval top1_interval;  // 95%, Wilson score
  double mean_loss = 0;    // cross-entropy, nats
  // Expected calibration error: how far the likeliest class's probability and the share of right answers are apart, averaged over the
  // photos in 15 equal ranges of that probability.
  double calibration_error = 0;
  std::vector<ClassMetrics> per_class;
  ClassMetrics macro;                   // unweighted means over classes that occur as label or prediction; support = photos
  std::vector<std::int64_t> confusion;  // [classes, classes], row = true label, column = predicted label
};

// One scored photo; also a row of predictions.csv.
struct ScoredPhoto {
  std::string path;  // relative to the catalogue's root
  std::int32_t label = 0;
  std::vector<float> probabilities;  // [classes]
};

// 95% Wilson score interval of successes / trials; [0, 1] when trials is 0.
Interval wilson_interval(std::int64_t successes, std::int64_t trials);

Metrics compute_metrics(std::span<const ScoredPhoto> photos, int classes);

struct Evaluation {
  Metrics metrics;
  std::vector<ScoredPhoto> photos;
  std::vector<Problem> unreadable;
};

struct EvaluateOptions {
  int batch_size = 32;
  std::function<void(std::int64_t done, std::int64_t total)> on_progress;
  std::function<bool()> should_stop;
};

// Scores the catalogue's split with the model. Throws Error(kData) when no photo could be read.
Evaluation evaluate(const Classifier& classifier, const Catalog& catalog, Split split, const EvaluateOptions& options = {});

// The same figures as JSON (one object), as CSV (one row a class) and as aligned text for a terminal of `columns` width.
std::string metrics_to_json(const Metrics& metrics, std::span<const std::string> classes);
std::string metrics_to_csv(const Metrics& metrics, std::span<const std::string> classes);
std::string metrics_to_text(const Metrics& metrics, std::span<const std::string> classes, int columns = 80);

// As predictions.csv of a run folder: "path,label,predicted,probability,correct" and a column a class, one row a photo.
// Throws Error(kUsage) naming a photo that does not fit the classes.
std::string predictions_to_csv(std::span<const ScoredPhoto> photos, std::span<const std::string> classes);

}  // namespace headstart
