// Errors: one exception root whose category decides the program's exit code.
//
// Every function of headstart reports failure by throwing headstart::Error (or a class derived from it). The library never prints,
// exits or aborts. A message names the operation, the object (path, tensor, option), what was expected, what was found and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace headstart {

// Frozen: exit codes are documented (docs/exit-codes.md) and scripts rely on them. Append only.
enum class ErrorCategory {
  kInternal = 1,      // a defect of headstart itself
  kUsage = 2,         // an option or argument that cannot be meant
  kData = 3,          // photos or folders that cannot be used
  kModel = 4,         // weights or model files that are damaged or do not fit
  kFile = 5,          // the file system: missing, not permitted, full
  kNetwork = 6,       // a download that failed or did not match its hash
  kTraining = 7,      // training diverged (NaN or infinite loss)
  kDevice = 8,        // a device that is not there or ran out of memory
  kPartial = 9,       // the work was done, but some photos could not be read
  kInterrupted = 130  // stopped by Ctrl-C or SIGTERM after a clean save
};

// The process exit code of a category; equal to its numeric value.
constexpr int exit_code(ErrorCategory category) { return static_cast<int>(category); }

class Error : public std::runtime_error {
 public:
  Error(ErrorCategory category, const std::string& message) : std::runtime_error(message), category_(category) {}
  ErrorCategory category() const noexcept { return category_; }

 private:
  ErrorCategory category_;
};

}  // namespace headstart
