// The output layer that a run begins with, where it is fitted to the photos before the first step.
//
// Thread-safety: one thread. Errors: kData (unreadable photos), kTraining (features that are not finite), kInterrupted.
#pragma once

#include "train/loop.h"

namespace headstart {

// Every rank has rank 0's weights afterwards, whatever its processor made of the same source and seed.
void share_weights(const Run& run);

// Fits what the options want fitted (HeadInit::kClass, HeadInit::kProbe), perhaps nothing, into run.network, whose backbone is as the
// source left it. Under `choose_resize` the options' preprocessing becomes that of the best fit, unless the photos are too few to tell
// (kFewestToJudge). Under a budget that is too short for all photos run.catalog keeps a part of them (TrainResult::photo_share).
void fit_first_head(Run& run);

}  // namespace headstart
