// The figures themselves. Definitions follow scikit-learn's (accuracy_score, top_k_accuracy_score, precision_recall_fscore_support with
// zero_division=0, confusion_matrix, log_loss); tools/golden/metrics.py holds them to it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "eval/calibration.h"
#include "eval/confusion.h"
#include "headstart/error.h"
#include "headstart/evaluate.h"

namespace headstart {
namespace {

// How many classes come before `label` in the order of top_scores().
int rank_of(std::span<const float> probabilities, std::int32_t label) {
  const float own = probabilities[static_cast<std::size_t>(label)];
  int before = 0;
  for (std::size_t c = 0; c < probabilities.size(); ++c) {
    const bool lower_label = static_cast<std::int32_t>(c) < label;
    // NaN counts as less than any number, so that a broken network is never right by accident.
    const bool larger = probabilities[c] > own || (std::isnan(own) && !std::isnan(probabilities[c]));
    const bool equal = probabilities[c] == own || (std::isnan(own) && std::isnan(probabilities[c]));
    if (larger || (equal && lower_label)) ++before;
  }
  return before;
}

double ratio(std::int64_t part, std::int64_t whole) { return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole); }

void check(const ScoredPhoto& photo, int classes) {
  if (photo.label < 0 || photo.label >= classes || photo.probabilities.size() != static_cast<std::size_t>(classes)) {
    throw Error(ErrorCategory::kUsage, fmt::format("compute metrics: photo '{}' has label {} and {} probabilities, expected a label below "
                                                   "{} and as many probabilities",
                                                   photo.path, photo.label, photo.probabilities.size(), classes));
  }
}

ClassMetrics class_metrics(const Metrics& metrics, int classes, int label) {
  const auto n = static_cast<std::size_t>(classes);
  const auto c = static_cast<std::size_t>(label);
  std::int64_t labelled = 0;
  std::int64_t predicted = 0;
  for (std::size_t other = 0; other < n; ++other) {
    labelled += metrics.confusion[c * n + other];
    predicted += metrics.confusion[other * n + c];
  }
  const std::int64_t right = metrics.confusion[c * n + c];
  return {.precision = ratio(right, predicted),
          .recall = ratio(right, labelled),
          .f1 = ratio(2 * right, labelled + predicted),
          .support = labelled};
}

// How sure the network is of its answers, and how often it is right, in equal ranges of the likeliest class's probability.
class CalibrationBins {
 public:
  void add(double probability, bool right) {
    if (std::isnan(probability)) return;
    const auto range = static_cast<std::size_t>(std::clamp(probability, 0.0, 1.0) * static_cast<double>(kRanges));
    Bin& bin = bins_[std::min(range, kRanges - 1)];  // 1 belongs to the last
    bin.probability += probability;
    bin.right += right ? 1 : 0;
  }

  double error(std::int64_t photos) const {
    double sum = 0;
    for (const Bin& bin : bins_) sum += std::abs(bin.probability - bin.right);
    return photos == 0 ? 0 : sum / static_cast<double>(photos);
  }

 private:
  static constexpr std::size_t kRanges = 15;
  struct Bin {
    double probability = 0, right = 0;  // sums
  };
  std::array<Bin, kRanges> bins_;
};

void add_class_metrics(Metrics& metrics, int classes) {
  const auto n = static_cast<std::size_t>(classes);
  int occurring = 0;
  for (int c = 0; c < classes; ++c) {
    const ClassMetrics one = class_metrics(metrics, classes, c);
    metrics.per_class.push_back(one);
    std::int64_t predicted = 0;
    for (std::size_t row = 0; row < n; ++row) predicted += metrics.confusion[row * n + static_cast<std::size_t>(c)];
    if (one.support == 0 && predicted == 0) continue;
    ++occurring;
    metrics.macro.precision += one.precision;
    metrics.macro.recall += one.recall;
    metrics.macro.f1 += one.f1;
  }
  metrics.macro.support = metrics.photos;
  if (occurring == 0) return;
  for (double* mean : {&metrics.macro.precision, &metrics.macro.recall, &metrics.macro.f1}) *mean /= occurring;
}

}  // namespace

Interval wilson_interval(std::int64_t successes, std::int64_t trials) {
  if (trials <= 0) return {.low = 0, .high = 1};
  constexpr double z = 1.959963984540054;  // normal quantile of 0.975
  const double n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  // At the ends the formula gives 0 and 1 up to rounding; say them exactly.
  return {.low = successes <= 0 ? 0.0 : std::max(0.0, centre - half), .high = successes >= trials ? 1.0 : std::min(1.0, centre + half)};
}

std::vector<ClassScore> top_scores(std::span<const float> probabilities, int k) {
  std::vector<ClassScore> scores;
  scores.reserve(probabilities.size());
  for (std::size_t c = 0; c < probabilities.size(); ++c) {
    scores.push_back({.label = static_cast<int>(c), .probability = probabilities[c]});
  }
  const std::size_t kept = std::min(scores.size(), static_cast<std::size_t>(std::max(k, 0)));
  const auto better = [](const ClassScore& a, const ClassScore& b) {
    // NaN last keeps this a strict weak order.
    if (std::isnan(a.probability) != std::isnan(b.probability)) return std::isnan(b.probability);
    if (a.probability > b.probability || a.probability < b.probability) return a.probability > b.probability;
    return a.label < b.label;
  };
  std::partial_sort(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(kept), scores.end(), better);
  scores.resize(kept);
  return scores;
}

Metrics compute_metrics(std::span<const ScoredPhoto> photos, int classes) {
  if (classes < 1) throw Error(ErrorCategory::kUsage, fmt::format("compute metrics: expected at least one class, got {}", classes));
  const auto n = static_cast<std::size_t>(classes);
  Metrics metrics;
  metrics.photos = static_cast<std::int64_t>(photos.size());
  metrics.confusion.assign(n * n, 0);
  std::int64_t right = 0;
  std::int64_t in_top5 = 0;
  double loss = 0;
  CalibrationBins bins;
  for (const ScoredPhoto& photo : photos) {
    check(photo, classes);
    const int rank = rank_of(photo.probabilities, photo.label);
    right += rank == 0 ? 1 : 0;
    in_top5 += rank < 5 ? 1 : 0;
    loss -= log_probability(photo.probabilities[static_cast<std::size_t>(photo.label)]);
    const ClassScore predicted = top_scores(photo.probabilities, 1).front();
    ++metrics.confusion[static_cast<std::size_t>(photo.label) * n + static_cast<std::size_t>(predicted.label)];
    bins.add(predicted.probability, predicted.label == photo.label);
  }
  metrics.top1 = ratio(right, metrics.photos);
  metrics.top5 = ratio(in_top5, metrics.photos);
  metrics.top1_interval = wilson_interval(right, metrics.photos);
  metrics.mean_loss = photos.empty() ? 0.0 : loss / static_cast<double>(photos.size());
  metrics.calibration_error = bins.error(metrics.photos);
  add_class_metrics(metrics, classes);
  return metrics;
}

std::vector<ConfusedPair> most_confused(const Metrics& metrics, std::size_t most) {
  const std::size_t n = metrics.per_class.size();
  std::vector<ConfusedPair> pairs;
  for (std::size_t row = 0; row < n; ++row) {
    for (std::size_t column = 0; column < n; ++column) {
      const std::int64_t photos = metrics.confusion[row * n + column];
      if (row == column || photos == 0) continue;
      pairs.push_back({.label = static_cast<int>(row),
                       .predicted = static_cast<int>(column),
                       .photos = photos,
                       .share = ratio(photos, metrics.per_class[row].support)});
    }
  }
  // Stable: equal counts stay in the order of labels.
  std::stable_sort(pairs.begin(), pairs.end(), [](const ConfusedPair& a, const ConfusedPair& b) { return a.photos > b.photos; });
  if (pairs.size() > most) pairs.resize(most);
  return pairs;
}

}  // namespace headstart
