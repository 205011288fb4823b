// Files and folders that are only needed meanwhile.
#pragma once

#include <filesystem>
#include <system_error>

namespace headstart {

// Removes the file, or the folder with all that is in it, at the end; what is not there is no error.
struct RemovedAtEnd {
  std::filesystem::path path;
  explicit RemovedAtEnd(std::filesystem::path what) : path(std::move(what)) {}
  ~RemovedAtEnd() {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
  RemovedAtEnd(const RemovedAtEnd&) = delete;
  RemovedAtEnd& operator=(const RemovedAtEnd&) = delete;
};

}  // namespace headstart
