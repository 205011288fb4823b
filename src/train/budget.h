// How many optimizer steps fit into the time that a run may take.
//
// Thread-safety: a pure function.
#pragma once

#include <cstdint>

namespace headstart {

// Seconds are wall clock.
struct BudgetTimes {
  double left = 0;              // until the run is to have ended
  double step = 0;              // of an optimizer step
  double scored_photo = 0;      // of a photo in the run's precision, reading included
  std::int64_t validation = 0;  // photos, scored after every epoch and at the end
  std::int64_t test = 0;        // photos, scored at the end
  std::int64_t steps_per_epoch = 1;
};

// Seconds after the last epoch's validation: the model scored as it is shipped, and the report.
double closing_seconds(const BudgetTimes& times);

// Steps, 0 or more, such that they, the validation after each epoch (a last one that is not whole included) and the closing fit.
std::int64_t affordable_steps(const BudgetTimes& times);

}  // namespace headstart
