// The probe's solver: scikit-learn's optimum, gradients that vanish, edge cases.
#include "train/logistic.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/file.h"
#include "support/shared_data.h"
#include "support/tensor_compare.h"
#include "train/lbfgs.h"
#include "unit/model/generated.h"

namespace headstart {
namespace {

using nlohmann::json;

const json& golden() {
  static const json cases = json::parse(read_text_file(test::source_dir() / "tests/golden/train/logistic.json"));
  return cases;
}

at::Tensor doubles(const json& values) { return at::tensor(values.get<std::vector<double>>(), at::kDouble); }

// The photos of tools/golden/logistic.py.
LabelledFeatures golden_data(const json& one) {
  const std::string name = one.at("name");
  const std::int64_t photos = one.at("photos"), width = one.at("features"), classes = one.at("classes");
  LabelledFeatures data{.classes = classes};
  data.labels = test::generate(name + ":labels", photos, 0, static_cast<double>(classes)).floor().to(at::kLong);
  data.features = test::generate(name + ":features", photos * width, -2, 2).to(at::kDouble).view({photos, width});
  data.features = data.features / (1 + at::arange(width).remainder(3)) + 3;
  data.features.scatter_add_(1, data.labels.unsqueeze(1), at::ones({photos, 1}, at::kDouble));
  if (!one.at("class_weights").is_null()) data.class_weights = doubles(one.at("class_weights"));
  return data;
}

TEST(Logistic, FindsTheOptimumThatScikitLearnFinds) {
  for (const json& one : golden().at("cases")) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const LabelledFeatures data = golden_data(one);
    const LogisticFit fit = fit_logistic(data, one.at("l2"));
    EXPECT_FALSE(!(fit.gradient_norm <= 1e-8));
    // A gradient of 1e-8 over the smallest curvature, which in a case's worst direction is its penalty over the features' variance, some
    // 1e-3; a bias was off by 1e-6.
    const test::Tolerance tolerance{.relative = 1e-5, .absolute = 1e-5};
    EXPECT_TRUE(test::tensors_close(fit.weight, doubles(one.at("weight")).view(fit.weight.sizes()), tolerance));
    EXPECT_TRUE(test::tensors_close(fit.bias, doubles(one.at("bias")), tolerance));
  }
}

TEST(Logistic, EndsAtTheSamePlaceWhereverItStarts) {
  const LabelledFeatures data = golden_data(golden().at("cases").at(2));
  const LogisticFit strong = fit_logistic(data, 2), fit = fit_logistic(data, 0.02), again = fit_logistic(data, 0.02, &strong);
  EXPECT_TRUE(test::tensors_close(again.weight, fit.weight, {.relative = 1e-5, .absolute = 1e-5}));  // as below scikit-learn's
  EXPECT_LT(fit_logistic(data, 0.02, &fit).iterations, 3);
  const LogisticScore score = score_logistic(fit, data);
  EXPECT_NEAR(score.loss, fit.loss, 1e-9);
  EXPECT_GT(score.top1, 0.5);
}

// By PyTorch's own cross-entropy and differences, on features that nobody centred or scaled.
TEST(Logistic, TheObjectiveIsFlatAtTheFitAndHigherAround) {
  const LabelledFeatures data = golden_data(golden().at("cases").at(2));
  constexpr double kL2 = 0.02;
  const LogisticFit fit = fit_logistic(data, kL2);
  const auto loss = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return at::cross_entropy_loss(at::linear(data.features, weight, bias), data.labels, data.class_weights).item<double>();
  };
  const auto objective = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return loss(weight, bias) + kL2 / 2 * weight.square().sum().item<double>();
  };
  EXPECT_NEAR(fit.loss, loss(fit.weight, fit.bias), 1e-12);
  const double least = objective(fit.weight, fit.bias);
  for (int direction = 0; direction < 20; ++direction) {
    const at::Tensor by_weight = test::generate("weight" + std::to_string(direction), fit.weight.numel(), -1, 1).view(fit.weight.sizes());
    const at::Tensor by_bias = test::generate("bias" + std::to_string(direction), fit.bias.numel(), -1, 1);
    constexpr double kStep = 1e-4;
    const double ahead = objective(fit.weight + kStep * by_weight, fit.bias + kStep * by_bias);
    const double behind = objective(fit.weight - kStep * by_weight, fit.bias - kStep * by_bias);
    EXPECT_GT(ahead, least);
    EXPECT_GT(behind, least);
    // Central differences are right to the square of the step, 1e-8, times a third derivative of about one.
    EXPECT_NEAR((ahead - behind) / (2 * kStep), 0, 1e-6);
  }
}

TEST(Logistic, TheSameDataGiveTheSameBitsAndAnyDtypeWillDo) {
  LabelledFeatures data = golden_data(golden().at("cases").at(0));
  const LogisticFit first = fit_logistic(data, 0.01), second = fit_logistic(data, 0.01);
  EXPECT_TRUE(first.weight.equal(second.weight) && first.bias.equal(second.bias));
  data.features = data.features.to(at::kFloat);
  EXPECT_TRUE(test::tensors_close(fit_logistic(data, 0.01).weight, first.weight, {.relative = 1e-5, .absolute = 1e-5}));  // float32's 6e-8
}

// Shifting and scaling the features, and the penalty with them, changes no prediction.
TEST(Logistic, DoesNotDependOnWhereTheFeaturesLieOrHowLargeTheyAre) {
  const LabelledFeatures data = golden_data(golden().at("cases").at(0));
  LabelledFeatures moved = data;
  moved.features = 1000 * data.features + 5000;
  EXPECT_NEAR(feature_variance(moved.features), 1e6 * feature_variance(data.features), 1e-3 * feature_variance(data.features));
  const LogisticFit fit = fit_logistic(data, 0.01), same = fit_logistic(moved, 0.01 * 1e6);
  const at::Tensor logits = at::linear(data.features, fit.weight, fit.bias);
  EXPECT_TRUE(test::tensors_close(at::linear(moved.features, same.weight, same.bias), logits, {.absolute = 1e-6}));
}

TEST(Logistic, FeaturesThatAreAllEqualLeaveTheClassesShares) {
  const LabelledFeatures data{.features = at::full({4, 3}, 2.0), .labels = at::tensor({0, 0, 0, 1}, at::kLong), .classes = 2};
  const LogisticFit fit = fit_logistic(data, 0.1);
  EXPECT_EQ(fit.weight.abs().max().item<double>(), 0);
  EXPECT_NEAR(fit.bias[0].item<double>() - fit.bias[1].item<double>(), std::log(3.0), 1e-6);
}

// With as many folds as a class has photos and one photo of each class a fold, the fits can be made by hand; a weight of 3 makes a photo
// count three times; the only photo of class 2 is not scored.
TEST(CrossValidate, ScoresEachPhotoByAFitToTheOthers) {
  constexpr double kL2 = 0.05, kGradient = 1e-9;
  LabelledFeatures data{.labels = at::tensor({0, 1, 1, 2, 0, 1, 0}, at::kLong), .classes = 3};
  data.features = test::generate("photos", 7 * 4, -1, 1).to(at::kDouble).view({7, 4});
  data.class_weights = at::tensor({1.0, 3.0, 1.0}, at::kDouble);
  const std::vector<std::vector<std::int64_t>> folds = {{0, 1}, {4, 2}, {6, 5}};
  double loss = 0, weight = 0, correct = 0;
  for (const std::vector<std::int64_t>& fold : folds) {
    std::vector<std::int64_t> others;
    for (std::int64_t photo = 0; photo < 7; ++photo) {
      if (std::find(fold.begin(), fold.end(), photo) == fold.end()) others.push_back(photo);
    }
    LabelledFeatures rest = data;
    rest.features = data.features.index_select(0, at::tensor(others, at::kLong));
    rest.labels = data.labels.index_select(0, at::tensor(others, at::kLong));
    const LogisticFit fit = fit_logistic(rest, kL2, nullptr, kGradient);
    for (const std::int64_t photo : fold) {
      const at::Tensor logits = at::linear(data.features[photo], fit.weight, fit.bias);
      const auto label = data.labels[photo].item<std::int64_t>();
      const double counts = label == 1 ? 3 : 1;
      loss -= counts * logits.log_softmax(0)[label].item<double>();
      weight += counts;
      correct += logits.argmax().item<std::int64_t>() == label ? 1 : 0;
    }
  }
  const LogisticScore score = cross_validate(data, kL2, 3, kGradient);
  EXPECT_NEAR(score.loss, loss / weight, 1e-6);  // gradients of 1e-9 over a curvature of some 1e-3
  EXPECT_DOUBLE_EQ(score.top1, correct / 6);
}

TEST(CrossValidate, WhereEachClassHasOnePhotoThereIsNothingToScore) {
  const LabelledFeatures data{.features = at::eye(3, at::kDouble), .labels = at::arange(3, at::kLong), .classes = 3};
  EXPECT_EQ(cross_validate(data, 0.1, 5, 1e-4).loss, 0);
}

TEST(FitBiases, MakeThePhotosAsLikelyAsTheyCanBeAndTouchNoOtherClass) {
  const at::Tensor labels = test::generate("labels", 200, 0, 3).floor().to(at::kLong);
  at::Tensor logits = 4 * test::generate("logits", 600, -1, 1).view({200, 3});
  logits.scatter_add_(1, labels.unsqueeze(1), at::full({200, 1}, 2.0F));
  const at::Tensor added = fit_biases(logits, labels, {1, 2}, {});
  EXPECT_EQ(added[0].item<double>(), 0);
  // At the optimum the expected number of photos of a free class is the true one.
  const at::Tensor expected = (logits.to(at::kDouble) + added).softmax(1).sum(0);
  for (const int free : {1, 2}) {
    EXPECT_NEAR(expected[free].item<double>(), labels.eq(free).sum().item<double>(), 0.01) << free;  // the weak pull to zero
  }
  const at::Tensor weighted = fit_biases(logits, labels, {1, 2}, at::tensor({1.0, 5.0, 1.0}, at::kDouble));
  EXPECT_GT(weighted[1].item<double>(), added[1].item<double>());
}

TEST(FitBiases, AClassWithoutPhotosGetsALowBiasThatIsStillFinite) {
  const at::Tensor added = fit_biases(at::zeros({10, 2}), at::zeros({10}, at::kLong), {1}, {});
  EXPECT_LT(added[1].item<double>(), -8);
  EXPECT_TRUE(std::isfinite(added[1].item<double>()));
}

TEST(Lbfgs, FindsTheBottomOfALongValley) {
  const at::Tensor curvature = at::logspace(-1.5, 1.5, 40, 10.0, at::TensorOptions(at::kDouble));  // condition number 1,000
  const at::Tensor bottom = at::linspace(-1, 1, 40, at::TensorOptions(at::kDouble));
  const auto valley = [&](const at::Tensor& x) {
    const at::Tensor away = x - bottom;
    return ValueAndGradient{.value = 0.5 * (curvature * away.square()).sum().item<double>(), .gradient = curvature * away};
  };
  const Minimum minimum = minimise(valley, at::zeros({40}, at::kDouble));
  EXPECT_LE(minimum.gradient_norm, 1e-8);
  EXPECT_LT(minimum.iterations, 1000);
  EXPECT_TRUE(test::tensors_close(minimum.x, bottom, {.absolute = 1e-6}));  // a gradient of 1e-8 over the smallest curvature, 0.03
}

TEST(Lbfgs, StopsWhereItIsToldAndWhenThereIsNothingToDo) {
  const auto bowl = [](const at::Tensor& x) { return ValueAndGradient{.value = x.square().sum().item<double>(), .gradient = 2 * x}; };
  const at::Tensor start = at::full({3}, 5.0, at::kDouble);
  EXPECT_EQ(minimise(bowl, start, {.max_iterations = 1}).iterations, 1);
  EXPECT_EQ(minimise(bowl, at::zeros({3}, at::kDouble)).iterations, 0);
  // A function without a bottom, whose values say nothing: the search ends by itself.
  const auto flat = [](const at::Tensor& x) { return ValueAndGradient{.value = 0, .gradient = at::ones_like(x)}; };
  EXPECT_EQ(minimise(flat, start).iterations, 0);
}

}  // namespace
}  // namespace headstart
