// The members of an archive, one after the other, through libarchive: zip (by its central directory), tar, and tar in gzip; told by
// content.
//
// Thread-safety: belongs to one thread. Errors: Error(kData) naming the archive and what is wrong with it: damaged, cut off, or beyond the
// limits of its sizes and counts. Names are given as they are stored; whether they may be used is for the caller to judge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "headstart/archive.h"

struct archive;
struct archive_entry;

namespace headstart {

enum class MemberKind { kFile, kFolder, kSymbolicLink, kHardLink, kSpecial };

struct ArchiveMember {
  std::string name;  // any bytes; zip's and pax's UTF-8 stays UTF-8
  MemberKind kind = MemberKind::kFile;
  bool encrypted = false;
};

class ArchiveReader {
 public:
  explicit ArchiveReader(std::filesystem::path path, const ArchiveLimits& limits = {});

  // The next member, valid until the next call; nullptr behind the last.
  const ArchiveMember* next();
  // Up to `block.size()` bytes of the current member's contents; 0 at their end.
  std::size_t read(std::span<std::byte> block);

  // Bytes of the archive file that were read so far, and all of them.
  std::uint64_t position() const;
  std::uint64_t size() const { return size_; }

  // The reason follows "its member NAME ".
  [[noreturn]] void refuse_member(std::string_view reason) const;

 private:
  struct Cleanup {
    void operator()(archive* reader) const;
  };

  [[noreturn]] void fail(std::string_view reason) const;
  std::string last_reason() const;
  void check_total(std::uint64_t more) const;
  void check_end() const;

  std::filesystem::path path_;
  ArchiveLimits limits_;
  std::unique_ptr<archive, Cleanup> reader_;
  ArchiveMember member_;
  std::uint64_t size_ = 0;
  std::uint64_t unpacked_ = 0;
  std::int64_t members_ = 0;
};

}  // namespace headstart
