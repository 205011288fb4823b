// One attempt of a transfer: a single libcurl request that appends to a PartFile.
//
// Thread-safety: a function call belongs to one thread. Errors: Error(kNetwork) for what no further attempt can mend, Error(kFile),
// Error(kInterrupted); a passing failure is returned.
#pragma once

#include <string>

#include "fetch/part_file.h"
#include "fetch/transfer.h"

namespace headstart {

struct AttemptResult {
  bool complete = false;
  std::string failure;  // of an attempt that may be repeated
};

// `may_resume`: ask for the rest of the part file rather than for the whole.
AttemptResult attempt_transfer(const std::string& url, PartFile& part, bool may_resume, const FetchOptions& options,
                               const TransferLimits& limits);

}  // namespace headstart
