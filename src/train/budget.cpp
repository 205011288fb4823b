#include "train/budget.h"

#include <algorithm>
#include <cmath>

namespace headstart {

double closing_seconds(const BudgetTimes& times) {
  constexpr double kFloat32Share = 2.5;   // of scoring in float32 over bfloat16, on processors that have it (docs/performance.md)
  constexpr double kReportSeconds = 1.5;  // model file, report, figures
  return kReportSeconds + kFloat32Share * times.scored_photo * static_cast<double>(times.validation + times.test);
}

std::int64_t affordable_steps(const BudgetTimes& times) {
  const double validation = times.scored_photo * static_cast<double>(times.validation);
  const double a_step = times.step + validation / static_cast<double>(times.steps_per_epoch);
  const double left = times.left - closing_seconds(times) - validation;
  return a_step > 0 ? static_cast<std::int64_t>(std::floor(std::max(left, 0.0) / a_step)) : 0;
}

}  // namespace headstart
