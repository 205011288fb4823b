// Records of one size, each written once and read often: in memory up to a bound, those past it in a file.
//
// The file outlives the object, so that a run that was killed finds what it had. Each of its records ends with a hash of its bytes, its
// number and the key: what another key wrote, or a crash left half written, is not there. Its space is reserved when it is made: a full
// disk is known before anything is computed. Thread-safety: one thread. Errors: kFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/file.h"

namespace headstart {

class ActivationCache {
 public:
  struct Layout {
    std::int64_t records = 0;
    std::int64_t record_bytes = 0;
    std::int64_t memory_bytes = 0;  // of the first records; the file is not made where that is enough for all
  };
  // `key`: everything that the records depend on.
  ActivationCache(const Layout& layout, const std::filesystem::path& file, std::string_view key);

  bool holds(std::int64_t record) const { return held_[static_cast<std::size_t>(record)]; }
  void put(std::int64_t record, std::span<const std::byte> bytes);
  // Of a record that is there.
  void get(std::int64_t record, std::span<std::byte> bytes) const;

 private:
  bool in_memory(std::int64_t record) const { return record < in_memory_; }
  std::byte* place(std::int64_t record) const { return memory_.get() + record * layout_.record_bytes; }
  std::uint64_t offset(std::int64_t record) const;
  std::uint64_t hash(std::int64_t record, std::span<const std::byte> bytes) const;
  void find_records();

  Layout layout_;
  std::int64_t in_memory_;
  std::uint64_t key_;
  std::unique_ptr<std::byte[]> memory_;
  std::unique_ptr<ReservedFile> file_;
  std::vector<bool> held_;
};

}  // namespace headstart
