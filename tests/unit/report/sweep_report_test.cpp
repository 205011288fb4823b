// What a sweep says: the best case, where it diverges, the table and the page.
#include <gtest/gtest.h>

#include "fake_result.h"
#include "headstart/sweep.h"
#include "support/errors.h"

namespace headstart {
namespace {

using test::expect_contains;

TEST(SweepValues, AreSpacedAndRounded) {
  EXPECT_EQ(log_values(1e-3, 1, 7), (std::vector<double>{0.001, 0.00316, 0.01, 0.0316, 0.1, 0.316, 1}));
  EXPECT_EQ(linear_values(0, 1, 4), (std::vector<double>{0, 0.333, 0.667, 1}));
  EXPECT_EQ(log_values(1.2345, 6.789, 2), (std::vector<double>{1.2345, 6.789}));  // the ends are kept as they are
  test::error_of([] { log_values(0, 1, 3); }, ErrorCategory::kUsage);
  test::error_of([] { linear_values(1, 1, 3); }, ErrorCategory::kUsage);
  test::error_of([] { linear_values(0, 1, 1); }, ErrorCategory::kUsage);
}

SweepRun run_of(double accuracy, double loss = 0.5, double test_accuracy = 0.5) {
  SweepRun run{.folder = "run", .seed = 0, .result = test::fake_result({.epochs = 2, .photos_per_class = 3}), .diverged = {}};
  run.result->validation.metrics.top1 = accuracy;
  run.result->validation.metrics.mean_loss = loss;
  run.result->test->metrics.top1 = test_accuracy;
  return run;
}

SweepRun diverged(std::int64_t step) {
  return {.folder = "run", .seed = 0, .result = {}, .diverged = DivergedError::Place{.epoch = 1, .step = step, .lr = 1}};
}

SweepResult rates(std::vector<SweepOutcome> outcomes) {
  SweepResult result{.out = "out", .axes = {{.name = "lr", .values = {}, .log = true}}, .outcomes = std::move(outcomes), .best = {}};
  for (const SweepOutcome& outcome : result.outcomes) result.axes[0].values.push_back(outcome.values[0]);
  result.best = best_outcome(result.outcomes);
  return result;
}

TEST(BestOutcome, HasTheBestMeanOfValidationWhateverTheTest) {
  const std::vector<SweepOutcome> outcomes = {{.values = {"1"}, .runs = {run_of(0.8, 0.5, 1.0), run_of(0.8)}},
                                              {.values = {"2"}, .runs = {run_of(0.95, 0.5, 0.1), run_of(0.75)}},
                                              {.values = {"3"}, .runs = {run_of(1.0), diverged(3)}}};
  EXPECT_EQ(best_outcome(outcomes), 1U);
  EXPECT_EQ(best_outcome({outcomes[2]}), std::nullopt);
  // At equal accuracy the lower loss.
  EXPECT_EQ(best_outcome({{.values = {"1"}, .runs = {run_of(0.8, 0.5)}}, {.values = {"2"}, .runs = {run_of(0.8, 0.4)}}}), 1U);
}

TEST(Divergences, SayFromWhereOnWhenAllHigherOnesDo) {
  EXPECT_EQ(divergences(rates({{.values = {"0.1"}, .runs = {run_of(0.9)}},
                               {.values = {"1"}, .runs = {diverged(2)}},
                               {.values = {"10"}, .runs = {diverged(1)}}})),
            (std::vector<std::string>{"training diverges from lr 1 on"}));
  EXPECT_EQ(divergences(rates({{.values = {"0.1"}, .runs = {diverged(9)}},
                               {.values = {"1"}, .runs = {run_of(0.9)}},
                               {.values = {"10"}, .runs = {diverged(1)}}})),
            (std::vector<std::string>{"training diverges at lr 0.1, 10"}));
  EXPECT_TRUE(divergences(rates({{.values = {"0.1"}, .runs = {run_of(0.9)}}})).empty());
  SweepResult grid{.out = "",
                   .axes = {{.name = "lr", .values = {"0.1", "1"}}, {.name = "momentum", .values = {"0", "0.9"}}},
                   .outcomes = {},
                   .best = {}};
  for (const char* const lr : {"0.1", "1"}) {
    for (const char* const momentum : {"0", "0.9"}) {
      const bool fails = std::string(lr) == "1" && std::string(momentum) == "0.9";
      grid.outcomes.push_back({.values = {lr, momentum}, .runs = {fails ? diverged(4) : run_of(0.9)}});
    }
  }
  EXPECT_EQ(divergences(grid), (std::vector<std::string>{"with momentum=0.9 training diverges from lr 1 on"}));
}

TEST(SweepText, MarksTheBestAndWhatDiverged) {
  const std::string text = sweep_to_text(rates({{.values = {"0.01"}, .runs = {run_of(0.85)}},
                                                {.values = {"0.1"}, .runs = {run_of(0.925, 0.5, 0.9)}},
                                                {.values = {"1"}, .runs = {diverged(3)}}}));
  for (const char* const part : {"validation acc", "0.850", "best\n", "diverged at step 3, epoch 1",
                                 "best: lr 0.1, validation accuracy 0.925, test accuracy 0.900", "training diverges from lr 1 on"}) {
    expect_contains(text, part);
  }
  expect_contains(sweep_to_text(rates({{.values = {"1"}, .runs = {diverged(3), diverged(2)}}})), "every case diverged");
  expect_contains(sweep_to_text(rates({{.values = {"1"}, .runs = {run_of(0.9), run_of(0.8)}}})), "0.850 ± 0.071");
}

TEST(SweepPage, HasALogarithmicChartAndATable) {
  const SweepResult result = rates({{.values = {"0.001"}, .runs = {run_of(0.85)}},
                                    {.values = {"0.1"}, .runs = {run_of(0.9)}},
                                    {.values = {"1"}, .runs = {diverged(3)}}});
  const std::string page = sweep_to_html(result);
  for (const char* const part :
       {"<svg", ">0.001<", ">0.01<", "class=\"cross\"", "best: 0.1", "<tr class=\"best\">", "training diverges from lr 1 on."}) {
    expect_contains(page, part);
  }
}

// Words have no places on an axis of numbers: they stand side by side under their names. Names come from outside.
TEST(SweepPage, DrawsChoicesSideBySide) {
  SweepResult result = rates({{.values = {"<sgd>"}, .runs = {run_of(0.85)}}, {.values = {"adamw"}, .runs = {run_of(0.9)}}});
  result.axes[0].name = "optimizer";
  const std::string page = sweep_to_html(result);
  expect_contains(page, ">&lt;sgd&gt;</text>");
  expect_contains(page, ">adamw</text>");
}

}  // namespace
}  // namespace headstart
