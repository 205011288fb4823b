// A training run in a process of its own, to be killed: the test program starts itself again with other arguments.
#pragma once

#include <sys/types.h>

#include "headstart/train.h"

namespace headstart::test {

// Begins the tiny run of `options` (made by tiny_options), or goes on with it where it was begun. Returns the child's process id.
pid_t start_child_run(const TrainOptions& options);

}  // namespace headstart::test
