// The learning rate as a pure function of the step: nothing of it needs saving, and a resumed run cannot drift.
//
// Thread-safety: plain data and a pure function.
#pragma once

#include <cstdint>

#include "headstart/train.h"

namespace headstart {

struct Schedule {
  double peak_lr = 0;
  std::int64_t steps_per_epoch = 0;  // optimizer steps: batches / accumulate, both rounded up
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 0;
  LearningRateShape shape = LearningRateShape::kCosine;
};

// For a training split of `photos` photos. `planned_steps` 0 or more: the run ends with these (TrainResult::planned_steps), at most a fifth
// of them warm-up.
Schedule make_schedule(const ResolvedOptions& options, std::int64_t photos, std::int64_t planned_steps = -1);

// Peak rate of the backbone group at `step` in [0, total_steps): linear warm-up (step + 1) / (warmup_steps + 1), then the peak
// itself, or a half cosine from it to zero, which the step after the last one would reach (Loshchilov & Hutter 2017, without restarts).
double learning_rate(const Schedule& schedule, std::int64_t step);

}  // namespace headstart
