#include "train/budget.h"

#include <algorithm>
#include <cmath>

namespace headstart {

namespace {

constexpr double kReportSeconds = 1.5;  // model file, report, figures

}  // namespace

double closing_seconds(const BudgetTimes& times) {
  constexpr double kFloat32Share = 2;  // of scoring in float32 over bfloat16, reading included: 1.5 (EfficientNet-Lite0), 1.9 (ResNet-18)
  const double scored_alone = kFloat32Share * times.scored_photo * times.processes;
  return kReportSeconds + scored_alone * static_cast<double>(times.validation + times.test);
}

double head_seconds(const BudgetTimes& times) { return times.scored_photo * static_cast<double>(times.train + times.validation); }

double affordable_share(const BudgetTimes& times) {
  const double by_photo = head_seconds(times) + closing_seconds(times) - kReportSeconds;
  return by_photo > 0 ? std::clamp((times.left - kReportSeconds) / by_photo, 0.0, 1.0) : 1;
}

std::int64_t affordable_steps(const BudgetTimes& times) {
  const double validation = times.scored_photo * static_cast<double>(times.validation);
  const double a_step = times.step + validation / static_cast<double>(times.steps_per_epoch);
  const double left = times.left - closing_seconds(times) - validation;
  return a_step > 0 ? static_cast<std::int64_t>(std::floor(std::max(left, 0.0) / a_step)) : 0;
}

}  // namespace headstart
