// One rank of a distributed run in a process of its own: the test program starts itself again, with the group's variables set.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "headstart/train.h"

namespace headstart::test {

// What the ranks do beside training; each in the process of its rank.
enum class RankEvent {
  kNone,
  kStopLast,      // the last rank asks to stop after its first step
  kDieLast,       // the last rank is killed after its first step
  kFreezeLast,    // the last rank is stopped (SIGSTOP) after its first step
  kOtherOptions,  // the last rank has another number of epochs
  kOtherPhotos,   // the last rank's folder has one photo less
};

// The options of a run below `folder`, by the name of a set of them: "synchronised", "frozen" (statistics), "stages" (frozen ones),
// "head", "auto".
TrainOptions group_options(const std::filesystem::path& folder, const std::string& set, const std::string& run);

// Starts `ranks` processes that train with these options in folder/run, or go on with that run. Returns their process ids by rank.
std::vector<pid_t> start_ranks(int ranks, const std::filesystem::path& folder, const std::string& set, const std::string& run,
                               RankEvent event = RankEvent::kNone);
// Waits for each; the exit codes, or minus the signal.
std::vector<int> wait_for(const std::vector<pid_t>& ranks);
// What the rank's error said; "" when it had none. A rank whose error rank 0 reports says "reported".
std::string rank_error(const std::filesystem::path& folder, const std::string& run, int rank);

// What such a process does: `arguments` are folder, set, run, event.
int child_rank(const std::vector<std::string>& arguments);

}  // namespace headstart::test
