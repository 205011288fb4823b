#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/file.h"
#include "headstart/error.h"
#include "support/shared_data.h"
#include "support/tensor_compare.h"
#include "train/schedule.h"

namespace headstart {
namespace {

const nlohmann::json& golden() {
  static const nlohmann::json json = nlohmann::json::parse(read_text_file(test::source_dir() / "tests/golden/train/optimizer.json"));
  return json;
}

Schedule golden_schedule() {
  const std::int64_t steps = golden().at("steps");
  return {.peak_lr = golden().at("peak"), .steps_per_epoch = steps, .warmup_steps = golden().at("warmup"), .total_steps = steps};
}

// The formulas of tools/golden/train.py.
at::Tensor initial(std::int64_t index, const at::Tensor& parameter) {
  return at::arange(parameter.numel()).mul(5).add(index * 3).remainder(9).sub(4).to(at::kFloat).div(8).view(parameter.sizes());
}
at::Tensor gradient(std::int64_t index, std::int64_t step, const at::Tensor& parameter) {
  const at::Tensor fraction = at::arange(parameter.numel()).mul(7).add(step * 13 + index * 4).remainder(11).sub(5).to(at::kFloat).div(8);
  return fraction.view(parameter.sizes()) + parameter.detach() * 0.5;
}

std::vector<NamedParameter> golden_parameters() {
  std::vector<NamedParameter> parameters;
  for (const auto& entry : golden().at("parameters")) {
    const std::string name = entry.at("name");
    const bool decays = entry.at("decays");
    const auto role = decays                ? ParameterRole::kWeight
                      : name == "bn.weight" ? ParameterRole::kNormScale
                      : name == "bn.bias"   ? ParameterRole::kNormShift
                                            : ParameterRole::kBias;
    at::Tensor tensor = at::zeros(entry.at("shape").get<std::vector<std::int64_t>>());
    tensor.copy_(initial(static_cast<std::int64_t>(parameters.size()), tensor));
    tensor.set_requires_grad(true);
    parameters.push_back({.name = name, .tensor = tensor, .role = role, .in_head = entry.at("in_head")});
  }
  return parameters;
}

void set_gradients(std::vector<NamedParameter>& parameters, std::int64_t step) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].tensor.mutable_grad() = gradient(static_cast<std::int64_t>(i), step, parameters[i].tensor);
  }
}

at::Tensor flat(const std::vector<NamedParameter>& parameters) {
  std::vector<at::Tensor> parts;
  for (const NamedParameter& parameter : parameters) parts.push_back(parameter.tensor.detach().flatten());
  return at::cat(parts);
}

OptimizerOptions golden_options(const nlohmann::json& example) {
  return {.kind = example.at("kind") == "sgd" ? OptimizerKind::kSgd : OptimizerKind::kAdamW,
          .momentum = example.at("momentum"),
          .weight_decay = example.at("weight_decay"),
          .head_lr_multiplier = 10};
}

TEST(Schedule, LearningRatesFollowTheFormulaOfTheGoldenScript) {
  const Schedule schedule = golden_schedule();
  for (std::int64_t step = 0; step < schedule.total_steps; ++step) {
    // The same formula in float64 on both sides: only the libraries' cosines may differ in the last digit.
    EXPECT_NEAR(learning_rate(schedule, step), golden().at("learning_rates").at(step).get<double>(), 1e-16) << step;
  }
}

TEST(Schedule, RisesToThePeakThenFallsTowardsZero) {
  const Schedule schedule{.peak_lr = 1, .steps_per_epoch = 10, .warmup_steps = 4, .total_steps = 20};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 0), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 3), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 4), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 12), 0.5);
  EXPECT_NEAR(learning_rate(schedule, 20), 0, 1e-15);
  for (std::int64_t step = 5; step < 20; ++step) EXPECT_LT(learning_rate(schedule, step), learning_rate(schedule, step - 1));
}

TEST(Schedule, CountsShortBatchesAndShortGroupsAsSteps) {
  ResolvedOptions options;
  options.batch_size = 4;
  options.accumulate = 3;
  options.epochs = 2;
  options.warmup_epochs = 0.5;
  options.lr = 1;
  const Schedule schedule = make_schedule(options, 29);  // 8 batches, 3 groups
  EXPECT_EQ(schedule.steps_per_epoch, 3);
  EXPECT_EQ(schedule.total_steps, 6);
  EXPECT_EQ(schedule.warmup_steps, 2);
}

TEST(Optimizer, WeightsAlongManyStepsEqualTorchs) {
  const Schedule schedule = golden_schedule();
  for (const auto& example : golden().at("cases")) {
    SCOPED_TRACE(example.at("name"));
    std::vector<NamedParameter> parameters = golden_parameters();
    Optimizer optimizer(parameters, golden_options(example));
    for (std::int64_t step = 0; step < schedule.total_steps; ++step) {
      set_gradients(parameters, step);
      if (example.at("clip_norm") > 0) optimizer.clip_gradients(example.at("clip_norm"));
      optimizer.step(learning_rate(schedule, step));
      const at::Tensor expected = at::tensor(example.at("weights").at(step).get<std::vector<float>>());
      // Fused and plain kernels round differently, one unit in the last place (6e-8) a step at most, over 24 steps.
      ASSERT_TRUE(test::tensors_close(flat(parameters), expected, {.relative = 2e-6, .absolute = 2e-6})) << "step " << step;
    }
  }
}

TEST(Optimizer, LeavesParametersWithoutGradientAlone) {
  std::vector<NamedParameter> parameters = golden_parameters();
  parameters[1].tensor.set_requires_grad(false);
  const at::Tensor before = parameters[1].tensor.clone();
  Optimizer optimizer(parameters, {.weight_decay = 0.1});
  set_gradients(parameters, 0);
  parameters[1].tensor.mutable_grad().reset();
  optimizer.step(0.1);
  EXPECT_TRUE(at::equal(parameters[1].tensor, before));
  EXPECT_EQ(optimizer.state().find("momentum.bn.weight"), nullptr);
}

TEST(Optimizer, GoesOnBitEqualAfterItsStateWasSavedAndLoaded) {
  for (const auto& example : golden().at("cases")) {
    SCOPED_TRACE(example.at("name"));
    std::vector<NamedParameter> straight = golden_parameters(), first = golden_parameters();
    Optimizer uninterrupted(straight, golden_options(example)), before(first, golden_options(example));
    const auto step = [](std::vector<NamedParameter>& parameters, Optimizer& optimizer, std::int64_t at) {
      set_gradients(parameters, at);
      optimizer.step(0.01);
    };
    for (std::int64_t at = 0; at < 10; ++at) step(straight, uninterrupted, at);
    for (std::int64_t at = 0; at < 5; ++at) step(first, before, at);

    std::vector<NamedParameter> second = golden_parameters();
    for (std::size_t i = 0; i < second.size(); ++i) {
      const c10::NoGradGuard no_gradients;
      second[i].tensor.copy_(first[i].tensor);
    }
    Optimizer after(second, golden_options(example));
    after.load(before.state());
    EXPECT_EQ(after.updates(), 5);
    for (std::int64_t at = 5; at < 10; ++at) step(second, after, at);
    EXPECT_TRUE(at::equal(flat(second), flat(straight)));
  }
}

TEST(Optimizer, RefusesAStateThatDoesNotFitNamingTheTensor) {
  std::vector<NamedParameter> parameters = golden_parameters();
  Optimizer optimizer(parameters, {});
  StateDict state = optimizer.state();
  std::erase_if(state.tensors, [](const auto& entry) { return entry.first == "momentum.fc.weight"; });
  try {
    optimizer.load(state);
    FAIL() << "a state without a tensor was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kModel);
    EXPECT_NE(std::string(error.what()).find("momentum.fc.weight"), std::string::npos) << error.what();
  }
}

TEST(Optimizer, ClippingScalesToTheNormAndOnlyDownwards) {
  std::vector<NamedParameter> parameters = golden_parameters();
  Optimizer optimizer(parameters, {});
  set_gradients(parameters, 0);
  const double norm = optimizer.clip_gradients(1e9);
  EXPECT_NEAR(optimizer.clip_gradients(norm / 2), norm, 1e-5 * norm);
  EXPECT_NEAR(optimizer.clip_gradients(1e9), norm / 2, 1e-5 * norm);
}

TEST(Optimizer, EarlierStagesLearnMoreSlowly) {
  std::vector<NamedParameter> parameters;
  for (const std::size_t stage : {0, 1, 2, 3}) {
    parameters.push_back({.name = fmt::format("p{}", stage), .tensor = at::zeros({1}).set_requires_grad(true), .stage = stage});
  }
  parameters.back().in_head = true;
  Optimizer optimizer(parameters, {.momentum = 0, .head_lr_multiplier = 4, .stage_lr_decay = 0.5});
  for (const NamedParameter& parameter : parameters) parameter.tensor.mutable_grad() = at::ones({1});
  optimizer.step(1);
  const double expected[] = {0.25, 0.5, 1, 4};
  for (std::size_t i = 0; i < parameters.size(); ++i) EXPECT_EQ(parameters[i].tensor.item<float>(), -expected[i]) << i;
}

}  // namespace
}  // namespace headstart
