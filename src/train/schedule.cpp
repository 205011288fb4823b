#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace headstart {

Schedule make_schedule(const ResolvedOptions& options, std::int64_t photos, std::int64_t planned_steps) {
  const auto divide_up = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  Schedule schedule;
  schedule.peak_lr = options.lr;
  schedule.shape = options.schedule;
  schedule.steps_per_epoch = divide_up(divide_up(photos, options.batch_size), options.accumulate);
  schedule.total_steps = schedule.steps_per_epoch * options.epochs;
  const double warmup = std::round(options.warmup_epochs * static_cast<double>(schedule.steps_per_epoch));
  schedule.warmup_steps = std::min(static_cast<std::int64_t>(warmup), schedule.total_steps);
  if (planned_steps >= 0 && planned_steps < schedule.total_steps) {
    schedule.total_steps = planned_steps;
    schedule.warmup_steps = std::min(schedule.warmup_steps, planned_steps / 5);
  }
  return schedule;
}

double learning_rate(const Schedule& schedule, std::int64_t step) {
  if (step < schedule.warmup_steps) {
    return schedule.peak_lr * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps + 1);
  }
  if (schedule.shape == LearningRateShape::kConstant) return schedule.peak_lr;
  const double cooling_steps = static_cast<double>(schedule.total_steps - schedule.warmup_steps);
  const double progress = static_cast<double>(step - schedule.warmup_steps) / cooling_steps;
  return schedule.peak_lr * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

}  // namespace headstart
