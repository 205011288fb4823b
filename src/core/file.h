// Files: whole-file reads, and writes that are there whole or not at all.
//
// Thread-safety: functions on different paths may run at the same time. Errors: Error(kFile) naming the path, the operation and the
// system's reason (missing, not permitted, disk full).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headstart {

// A read-only view of a whole file, memory-mapped. Its bytes stay valid while the object lives. Meant for files that nobody truncates
// meanwhile (weights, models); photos are read with read_file, which cannot fault when the file shrinks.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Reads a whole file; refuses one larger than max_bytes. `out` is reused: no allocation when its capacity is enough.
void read_file(const std::filesystem::path& path, std::vector<std::byte>& out, std::uint64_t max_bytes = 1ULL << 32);
std::string read_text_file(const std::filesystem::path& path);

// Writes to a temporary name in the same folder, syncs, renames over `path`, syncs the folder. On any error the old file is untouched and
// the temporary one is removed.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();  // without commit(): removes the temporary file
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  void flush();
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  std::vector<std::byte> buffer_;
};
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// A file that is not there yet, written in place and not synced: for a folder that is synced and takes its name as a whole.
class NewFile {
 public:
  explicit NewFile(std::filesystem::path path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  void write(std::span<const std::byte> bytes);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

// A file of a fixed size, read and written anywhere. Its space is reserved when it is opened, and it is removed where there is not enough;
// what a file of that name and size holds already is kept. Thread-safety: different ranges from any number of threads.
class ReservedFile {
 public:
  ReservedFile(std::filesystem::path path, std::uint64_t size);
  ~ReservedFile();
  ReservedFile(const ReservedFile&) = delete;
  ReservedFile& operator=(const ReservedFile&) = delete;
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

// Makes the names in a folder durable. Some file systems refuse to sync folders, and files are whole either way: no error.
void sync_folder(const std::filesystem::path& folder);
// The same for everything in it, file contents included. Throws Error(kFile) when the disk did not take them.
void sync_everything_in(const std::filesystem::path& folder);

}  // namespace headstart
