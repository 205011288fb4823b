// The photos that `predict` names: files, everything below folders, and lists from standard input, one after the other, as a stream.
//
// Memory does not grow with the number of photos. Thread-safety: next() from one thread at a time, close() from any. Errors: Error(kFile)
// for a folder or a standard input that cannot be read, Error(kUsage) for an input line that is too long to be a path.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace headstart::cli {

class PathSource {
 public:
  // `inputs`: files, folders, "-" for paths from standard input, each ended by `separator` ('\n', or '\0' as of find -print0).
  PathSource(std::vector<std::string> inputs, char separator);
  ~PathSource();
  PathSource(const PathSource&) = delete;
  PathSource& operator=(const PathSource&) = delete;

  // nullopt at the end, and soon after close() or a signal, even while an input has nothing to say.
  std::optional<std::filesystem::path> next();
  void close() { closed_ = true; }

 private:
  bool ended_early() const;
  class FolderWalk;
  class InputList;
  std::vector<std::string> inputs_;
  char separator_;
  std::atomic<bool> closed_{false};
  std::size_t at_ = 0;
  std::unique_ptr<FolderWalk> walk_;
  std::unique_ptr<InputList> list_;
};

}  // namespace headstart::cli
