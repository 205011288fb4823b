// A training run in a process of its own, to be killed: the test program starts itself again with other arguments.
#pragma once

#include <sys/types.h>

#include <filesystem>

namespace headstart::test {

enum class ChildRun {
  kPlain,
  kFrozenStages,  // in two views, the outputs of the frozen stages in a file
};

// Begins a tiny run in the folder `run`, with photos and weights beside it, or goes on with it where it was begun. Returns the child's
// process id.
pid_t start_child_run(const std::filesystem::path& run, int epochs, ChildRun kind = ChildRun::kPlain);

}  // namespace headstart::test
