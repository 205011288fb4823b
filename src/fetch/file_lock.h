// A lock between processes: one file, held with flock() while it exists, removed afterwards.
//
// Thread-safety: an object belongs to one thread; two objects on one path exclude each other, also within a process. Errors: Error(kFile);
// Error(kInterrupted) when `should_stop` says so while waiting.
#pragma once

#include <filesystem>
#include <functional>

namespace headstart {

class FileLock {
 public:
  FileLock(std::filesystem::path path, const std::function<bool()>& should_stop);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  bool try_lock();

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace headstart
