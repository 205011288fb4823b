// The entries of a zip archive in memory, as spans of it: PyTorch stores its records uncompressed, so nothing has to be unpacked or copied.
// That is why this does not go through libarchive, which would copy each record and cannot hand out views. Compressed entries are listed
// and refused when they are read.
//
// Source: PKWARE APPNOTE 6.3 (sections 4.3 and 4.5.3). Thread-safety: const use from any number of threads. Ownership: borrows the bytes.
// Errors: Error(kModel) with what is damaged and where. Sizes and positions of the file are never trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace headstart {

struct ZipEntry {
  std::string_view name;
  std::uint16_t flags = 0;
  std::uint16_t method = 0;  // 0: stored
  std::uint32_t crc = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t bytes = 0;
  std::uint64_t header = 0;  // position of the local header
};

class ZipDirectory {
 public:
  explicit ZipDirectory(std::span<const std::byte> archive);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;

  // The entry's contents; verified against its CRC-32, unless that is 0: torch.serialization.set_crc32_options(False) writes none.
  std::span<const std::byte> read(const ZipEntry& entry) const;

 private:
  std::span<const std::byte> archive_;
  std::vector<ZipEntry> entries_;  // sorted by name
};

// CRC-32 of zip and PNG (polynomial 0xEDB88320, reflected).
std::uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace headstart
