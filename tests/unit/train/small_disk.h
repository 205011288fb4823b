// A disk that is nearly full.
#pragma once

#include <signal.h>
#include <sys/resource.h>

namespace headstart::test {

// A file-size limit stands in for a full disk: writes fail in the same place, without needing a file system of our own.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : before_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit small{.rlim_cur = bytes, .rlim_max = limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    signal(SIGXFSZ, before_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  sighandler_t before_;
  rlimit limit_{};
};

}  // namespace headstart::test
