// Starts the processes of a group on this machine, one rank each, and looks after them.
//
// Thread-safety: one thread. Errors: kUsage, kNetwork (a rank was killed), or what the rank that failed first ended with.
#pragma once

#include <string>
#include <vector>

#include "terminal.h"

namespace headstart::cli {

struct Launch {
  std::vector<std::string> arguments;  // of this program, in every process: "train", "photos/", …
  int processes = 1;
  int port = 0;  // where rank 0 listens, on loopback; 0: a free one
};

// Returns when all have ended well. Signals reach every rank. When one dies, the others have fifteen seconds to say what they have to say.
// Throws Error naming the rank that failed first, with the category of its exit code; kInterrupted when all stopped with a checkpoint.
void launch(const Launch& launch, Console& console);

}  // namespace headstart::cli
