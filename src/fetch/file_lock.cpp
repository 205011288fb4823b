#include "fetch/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::chrono::milliseconds kPoll{100};

}  // namespace

FileLock::FileLock(std::filesystem::path path, const std::function<bool()>& should_stop) : path_(std::move(path)) {
  while (!try_lock()) {
    if (should_stop && should_stop()) throw Error(ErrorCategory::kInterrupted, "stopped while another process fetches the same file");
    std::this_thread::sleep_for(kPoll);
  }
}

FileLock::~FileLock() {
  // Removed while it is held: who opened it before finds another file under the name and starts over.
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

bool FileLock::try_lock() {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    throw Error(ErrorCategory::kFile,
                fmt::format("cannot write {}: {}; check the folder's permissions", path_.string(), std::generic_category().message(errno)));
  }
  struct stat held {};
  struct stat named {};
  // File systems without locks (ENOLCK, EOPNOTSUPP) are used without: the rename at the end keeps the result whole there, too.
  const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR);
  if (locked && ::fstat(descriptor_, &held) == 0 && ::stat(path_.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
      held.st_dev == named.st_dev) {
    return true;
  }
  ::close(descriptor_);
  descriptor_ = -1;
  return false;
}

}  // namespace headstart
