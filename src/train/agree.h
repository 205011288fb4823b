// Whether all ranks are about to train the same, before the first of them makes a folder.
#pragma once

#include "headstart/train.h"
#include "train/distributed.h"

namespace headstart {

// Throws on every rank Error(kUsage) naming the first rank whose options differ from rank 0's and the options, or Error(kData) for other
// photos. Paths, device and threads may differ; the run folder becomes rank 0's.
void agree_on(const Group& group, ResolvedOptions& options, const Catalog& catalog);

}  // namespace headstart
