// What fits into the time that a run may take.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>

namespace headstart {

// The first steps of a run, by which its others are planned: warm ones, then timed ones.
inline constexpr std::int64_t kWarmSteps = 2, kTimedSteps = 8;

// Seconds are wall clock.
struct BudgetTimes {
  double left = 0;              // until the run is to have ended
  double step = 0;              // of an optimizer step
  double scored_photo = 0;      // of a photo in the run's precision, reading included, all processes at work
  int processes = 1;            // of which the first alone scores what is shipped
  std::int64_t train = 0;       // photos, or views of them, whose features a fitted head needs
  std::int64_t validation = 0;  // photos, scored after every epoch and at the end
  std::int64_t test = 0;        // photos, scored at the end
  std::int64_t steps_per_epoch = 1;
};

// Seconds after the last epoch's validation: the model scored as it is shipped, and the report.
double closing_seconds(const BudgetTimes& times);

// Seconds of a head that is fitted to the photos' features in one view.
double head_seconds(const BudgetTimes& times);

// The share of all photos, up to 1, with which a fitted head and the closing fit.
double affordable_share(const BudgetTimes& times);

// Steps, 0 or more, such that they, the validation after each epoch (a last one that is not whole included) and the closing fit.
std::int64_t affordable_steps(const BudgetTimes& times);

}  // namespace headstart
