// One training within a command that carries out several: begun, or gone on with where an earlier call of the same command left it.
#pragma once

#include "cli.h"
#include "headstart/train.h"

namespace headstart::cli {

// Shown as `train` shows its run. Throws Error(kUsage) naming the options that the run in options.out was begun with otherwise.
TrainResult carry_out(const TrainOptions& options, Context& context);

// Runs `work`; when it is interrupted, says so and how to go on: the same command again. Throws Error(kUsage) in a process that the
// environment makes one of a group: each would carry out all the trainings, into the same folders.
void with_going_on(Context& context, const std::function<void()>& work);

}  // namespace headstart::cli
