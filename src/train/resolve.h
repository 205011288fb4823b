// From what a person asked for to what a run does: every default in one place.
//
// Thread-safety: pure functions but for the look at the machine (device, cores, free run folder). Errors: kUsage printing the bad value,
// kDevice.
#pragma once

#include "headstart/train.h"
#include "train/source.h"

namespace headstart {

// Refuses what cannot be meant, before anything is fetched or read.
void check_options(const TrainOptions& options);

// Fills every gap by recipe, source model and machine. Expects options that passed check_options().
ResolvedOptions resolve_options(const TrainOptions& options, const Source& source);

}  // namespace headstart
