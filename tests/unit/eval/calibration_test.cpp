#include "eval/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace headstart {
namespace {

// Photos whose labels are drawn from softmax(logits / temperature), while their probabilities are softmax(logits).
std::vector<ScoredPhoto> photos_at(double temperature, int photos, int classes) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> logit(0, 3);
  std::vector<ScoredPhoto> all;
  for (int i = 0; i < photos; ++i) {
    std::vector<double> logits(static_cast<std::size_t>(classes)), truth(logits.size());
    double sum = 0;
    for (std::size_t c = 0; c < logits.size(); ++c) {
      logits[c] = logit(random);
      truth[c] = std::exp(logits[c] / temperature);
      sum += std::exp(logits[c]);
    }
    ScoredPhoto photo{.path = std::to_string(i), .label = std::discrete_distribution<std::int32_t>(truth.begin(), truth.end())(random)};
    for (const double value : logits) photo.probabilities.push_back(static_cast<float>(std::exp(value) / sum));
    all.push_back(std::move(photo));
  }
  return all;
}

Evaluation evaluation_of(std::vector<ScoredPhoto> photos) {
  Evaluation evaluation{.metrics = compute_metrics(photos, static_cast<int>(photos.front().probabilities.size()))};
  evaluation.photos = std::move(photos);
  return evaluation;
}

TEST(Temperature, IsFoundFromTheAnswers) {
  for (const double truth : {0.5, 1.0, 2.5}) {
    // Its standard error over 4,000 photos is about 2%.
    EXPECT_NEAR(fit_temperature(photos_at(truth, 4000, 5)) / truth, 1, 0.08);
  }
}

TEST(Temperature, MendsConfidenceAndChangesNoLabel) {
  Evaluation evaluation = evaluation_of(photos_at(2.5, 2000, 4));
  const Metrics before = evaluation.metrics;
  apply_temperature(evaluation, fit_temperature(evaluation.photos));
  EXPECT_EQ(evaluation.metrics.confusion, before.confusion);
  EXPECT_GT(before.calibration_error, 0.1);
  EXPECT_LT(evaluation.metrics.calibration_error, 0.04);  // of 2,000 photos in 15 ranges, luck alone makes about 0.02
  EXPECT_LT(evaluation.metrics.mean_loss, before.mean_loss);
  for (const ScoredPhoto& photo : evaluation.photos) {
    double sum = 0;
    for (const float probability : photo.probabilities) sum += probability;
    EXPECT_NEAR(sum, 1, 1e-6);  // float32
  }
}

TEST(Temperature, OneLeavesEveryBit) {
  const std::vector<ScoredPhoto> photos = photos_at(1, 20, 3);
  for (const ScoredPhoto& photo : photos) {
    std::vector<float> same = photo.probabilities;
    apply_temperature(std::span(same), 1);
    EXPECT_EQ(same, photo.probabilities);
  }
}

TEST(Temperature, AHandfulOfRightAnswersIsNoCertainty) {
  const std::vector<ScoredPhoto> right(4, {.path = "p", .label = 0, .probabilities = {0.8F, 0.2F}});
  EXPECT_GT(fit_temperature(right), 0.5);
  EXPECT_LT(fit_temperature(right), 1);
  EXPECT_EQ(fit_temperature({}), 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(fit_temperature(std::vector<ScoredPhoto>{{.path = "p", .label = 0, .probabilities = {nan, nan}}}), 1);
  const std::vector<ScoredPhoto> wrong(1000, {.path = "p", .label = 0, .probabilities = {0.0F, 1.0F}});
  EXPECT_LE(fit_temperature(wrong), 20.001);
}

TEST(CalibrationError, IsTheDistanceOfConfidenceAndAccuracyByRanges) {
  // Three of four right at 0.9, one of two at 0.6: (4 * 0.15 + 2 * 0.1) / 6.
  std::vector<ScoredPhoto> photos;
  for (const std::int32_t label : {0, 0, 0, 1}) photos.push_back({.path = "p", .label = label, .probabilities = {0.9F, 0.1F}});
  for (const std::int32_t label : {0, 1}) photos.push_back({.path = "p", .label = label, .probabilities = {0.4F, 0.6F}});
  EXPECT_NEAR(compute_metrics(photos, 2).calibration_error, 0.8 / 6, 1e-6);
  EXPECT_EQ(compute_metrics({}, 2).calibration_error, 0);
  EXPECT_EQ(compute_metrics(std::vector<ScoredPhoto>{{.path = "p", .label = 1, .probabilities = {0.0F, 1.0F}}}, 2).calibration_error, 0);
}

}  // namespace
}  // namespace headstart
