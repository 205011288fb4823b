// All members of an archive into a folder that is not there yet, and nothing anywhere else.
//
// Thread-safety: functions on different folders may run at the same time. Errors: Error(kData) naming the member and why it is refused,
// Error(kFile), Error(kInterrupted). What was written by then stays: the caller removes the folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "headstart/archive.h"

namespace headstart {

struct Unpacked {
  std::int64_t files = 0;
  std::int64_t bytes = 0;
};

// `folder` must not exist; nobody else may write to it meanwhile. Of `options`, the limits and what concerns unpacking are used.
Unpacked unpack_archive(const std::filesystem::path& archive, const std::filesystem::path& folder, const ArchiveOptions& options);

}  // namespace headstart
