// A download that is not finished: TARGET.part with the bytes so far, and TARGET.part.from, which says where they come from, so that a
// later run knows whether it may go on.
//
// Thread-safety: belongs to one thread, under the target's FileLock. Errors: Error(kFile) naming the path and the system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace headstart {

// What the bytes belong to. `validator` is the server's strong ETag or its Last-Modified, for If-Range; empty when it gave none.
struct PartSource {
  std::string url;
  std::string validator;
  friend bool operator==(const PartSource&, const PartSource&) = default;
};

class PartFile {
 public:
  explicit PartFile(const std::filesystem::path& target);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  std::uint64_t size() const { return size_; }
  const PartSource& source() const { return source_; }
  const std::filesystem::path& path() const { return path_; }

  void append(std::span<const std::byte> bytes);
  // Empties the file and remembers where its bytes will come from.
  void restart(const PartSource& source);
  // Syncs and gives the file its name; what is remembered is removed.
  void finish();
  // Removes everything.
  void discard();

 private:
  std::filesystem::path target_, path_, source_path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  PartSource source_;
};

}  // namespace headstart
