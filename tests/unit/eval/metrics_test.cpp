#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "eval/confusion.h"
#include "headstart/error.h"
#include "headstart/evaluate.h"
#include "support/shared_data.h"

namespace headstart {
namespace {

// Both sides compute in double from the same exact inputs; sums differ in their order only.
constexpr double kTolerance = 1e-12;

void expect_near(double actual, double expected, const std::string& what) {
  EXPECT_TRUE(std::abs(actual - expected) <= kTolerance) << what << ": " << actual << ", expected " << expected;
}

nlohmann::json golden() {
  std::ifstream in(test::source_dir() / "tests/golden/eval/metrics.json");
  return nlohmann::json::parse(in);
}

std::vector<ScoredPhoto> photos_of(const nlohmann::json& one, double parts) {
  std::vector<ScoredPhoto> photos;
  for (std::size_t i = 0; i < one["labels"].size(); ++i) {
    ScoredPhoto photo{.path = std::to_string(i), .label = one["labels"][i], .probabilities = {}};
    for (const auto& part : one["parts"][i]) photo.probabilities.push_back(static_cast<float>(part.get<double>() / parts));
    photos.push_back(std::move(photo));
  }
  return photos;
}

ScoredPhoto scored(std::int32_t label, std::vector<float> probabilities) { return {"p", label, std::move(probabilities)}; }

TEST(Metrics, EqualScikitLearn) {
  const nlohmann::json all = golden();
  ASSERT_GE(all["cases"].size(), 5U);
  for (const auto& one : all["cases"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const std::vector<ScoredPhoto> photos = photos_of(one, all["parts_per_one"]);
    const Metrics metrics = compute_metrics(photos, one["classes"]);
    EXPECT_EQ(metrics.photos, static_cast<std::int64_t>(photos.size()));
    expect_near(metrics.top1, one["top1"], "top1");
    expect_near(metrics.top5, one["top5"], "top5");
    expect_near(metrics.top1_interval.low, one["top1_interval"][0], "interval low");
    expect_near(metrics.top1_interval.high, one["top1_interval"][1], "interval high");
    expect_near(metrics.mean_loss, one["mean_loss"], "mean loss");
    expect_near(metrics.macro.precision, one["macro"][0], "macro precision");
    expect_near(metrics.macro.recall, one["macro"][1], "macro recall");
    expect_near(metrics.macro.f1, one["macro"][2], "macro F1");
    EXPECT_EQ(metrics.macro.support, metrics.photos);
    EXPECT_EQ(metrics.confusion, one["confusion"].get<std::vector<std::int64_t>>());
    ASSERT_EQ(metrics.per_class.size(), one["support"].size());
    for (std::size_t c = 0; c < metrics.per_class.size(); ++c) {
      expect_near(metrics.per_class[c].precision, one["precision"][c], "precision");
      expect_near(metrics.per_class[c].recall, one["recall"][c], "recall");
      expect_near(metrics.per_class[c].f1, one["f1"][c], "f1");
      EXPECT_EQ(metrics.per_class[c].support, one["support"][c].get<std::int64_t>());
    }
  }
}

TEST(Metrics, TiesGoToTheLowerLabel) {
  EXPECT_EQ(compute_metrics(std::vector{scored(0, {0.5F, 0.5F})}, 2).top1, 1.0);
  EXPECT_EQ(compute_metrics(std::vector{scored(1, {0.5F, 0.5F})}, 2).top1, 0.0);
  const std::vector<float> even(6, 1.0F / 6);
  EXPECT_EQ(compute_metrics(std::vector{scored(4, even)}, 6).top5, 1.0);
  EXPECT_EQ(compute_metrics(std::vector{scored(5, even)}, 6).top5, 0.0);
}

TEST(Metrics, WithFiveClassesOrFewerTopFiveIsOne) {
  EXPECT_EQ(compute_metrics(std::vector{scored(4, {0.9F, 0.05F, 0.03F, 0.02F, 0.0F})}, 5).top5, 1.0);
}

TEST(Metrics, OfNoPhotosAreZeroWithTheWidestInterval) {
  const Metrics metrics = compute_metrics({}, 3);
  EXPECT_EQ(metrics.photos, 0);
  EXPECT_EQ(metrics.top1, 0.0);
  EXPECT_EQ(metrics.mean_loss, 0.0);
  EXPECT_EQ(metrics.top1_interval.low, 0.0);
  EXPECT_EQ(metrics.top1_interval.high, 1.0);
  EXPECT_EQ(metrics.confusion, std::vector<std::int64_t>(9, 0));
  EXPECT_EQ(metrics.per_class.size(), 3U);
}

TEST(Metrics, AnUnderflownProbabilityCostsAFiniteLoss) {
  const Metrics metrics = compute_metrics(std::vector{scored(1, {1.0F, 0.0F})}, 2);
  EXPECT_TRUE(std::isfinite(metrics.mean_loss));
  EXPECT_GT(metrics.mean_loss, 87.0);
}

TEST(Metrics, NanProbabilitiesAreNeverRightByAccidentAndShowInTheLoss) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Metrics metrics = compute_metrics(std::vector{scored(1, {kNan, kNan}), scored(0, {kNan, 0.1F})}, 2);
  EXPECT_EQ(metrics.top1, 0.0);
  EXPECT_TRUE(std::isnan(metrics.mean_loss));
  EXPECT_EQ(metrics.confusion, (std::vector<std::int64_t>{0, 1, 1, 0}));
}

TEST(Metrics, ALabelOutsideTheClassesIsRefused) {
  for (const ScoredPhoto& bad : {scored(2, {0.5F, 0.5F}), scored(-1, {0.5F, 0.5F}), scored(0, {1.0F}), scored(0, {0.4F, 0.3F, 0.3F})}) {
    try {
      compute_metrics(std::vector{bad}, 2);
      FAIL() << "label " << bad.label << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUsage);
    }
  }
  EXPECT_THROW(compute_metrics({}, 0), Error);
}

TEST(WilsonInterval, StaysInsideZeroAndOne) {
  for (std::int64_t trials : {1, 2, 10, 1000}) {
    EXPECT_EQ(wilson_interval(0, trials).low, 0.0);
    EXPECT_EQ(wilson_interval(trials, trials).high, 1.0);
    EXPECT_GT(wilson_interval(0, trials).high, 0.0);
    EXPECT_LT(wilson_interval(trials, trials).low, 1.0);
  }
}

TEST(TopScores, AreSortedCutAndTiedByLowerLabel) {
  const std::vector<float> probabilities = {0.1F, 0.3F, 0.3F, 0.2F, 0.1F};
  const std::vector<ClassScore> top = top_scores(probabilities, 4);
  ASSERT_EQ(top.size(), 4U);
  EXPECT_EQ(top[0].label, 1);
  EXPECT_EQ(top[1].label, 2);
  EXPECT_EQ(top[2].label, 3);
  EXPECT_EQ(top[3].label, 0);
  EXPECT_EQ(top[0].probability, 0.3F);
  EXPECT_EQ(top_scores(probabilities, 100).size(), 5U);
  EXPECT_TRUE(top_scores(probabilities, 0).empty());
  EXPECT_TRUE(top_scores(probabilities, -1).empty());
  EXPECT_TRUE(top_scores({}, 3).empty());
}

TEST(MostConfused, AreTheLargestErrorsWithTheirShareOfTheClass) {
  const std::vector<ScoredPhoto> photos = {
      scored(0, {0.9F, 0.1F, 0.0F}), scored(0, {0.1F, 0.9F, 0.0F}), scored(0, {0.2F, 0.7F, 0.1F}),
      scored(0, {0.2F, 0.1F, 0.7F}), scored(2, {0.9F, 0.1F, 0.0F}), scored(1, {0.1F, 0.9F, 0.0F}),
  };
  const Metrics metrics = compute_metrics(photos, 3);
  const std::vector<ConfusedPair> pairs = most_confused(metrics, 10);
  ASSERT_EQ(pairs.size(), 3U);
  EXPECT_EQ(pairs[0].label, 0);
  EXPECT_EQ(pairs[0].predicted, 1);
  EXPECT_EQ(pairs[0].photos, 2);
  EXPECT_EQ(pairs[0].share, 0.5);
  EXPECT_EQ(pairs[1].predicted, 2);  // tied with (2, 0): lower true label first
  EXPECT_EQ(pairs[2].label, 2);
  EXPECT_EQ(most_confused(metrics, 1).size(), 1U);
}

}  // namespace
}  // namespace headstart
