#include "fetch/wheel.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "core/file.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::uint64_t kLargest = 16ULL << 30;

struct ArchiveCleanup {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, ArchiveCleanup>;

// The reader at the entry of that name; null when there is none.
Reader find_entry(const std::filesystem::path& path, const std::string& file_name) {
  Reader reader(archive_read_new());
  if (reader == nullptr || archive_read_support_format_zip(reader.get()) != ARCHIVE_OK)
    throw Error(ErrorCategory::kInternal, "cannot start libarchive");
  if (archive_read_open_filename(reader.get(), path.c_str(), kBlock) != ARCHIVE_OK) return nullptr;
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK) {
    const char* name = archive_entry_pathname(entry);
    if (name != nullptr && archive_entry_filetype(entry) == AE_IFREG && std::filesystem::path(name).filename() == file_name) return reader;
  }
  return nullptr;
}

}  // namespace

bool extract_file(const std::filesystem::path& archive_path, const std::string& file_name, const std::filesystem::path& target,
                  const ExpectedDigest& digest, std::uint64_t max_bytes) {
  const Reader reader = find_entry(archive_path, file_name);
  if (reader == nullptr) return false;
  const auto fail = [&](const std::string& reason) {
    throw Error(ErrorCategory::kNetwork,
                fmt::format("cannot take {} out of {}: {}; fetch it again", file_name, archive_path.string(), reason));
  };
  AtomicFile file(target);
  Digest computed(digest.kind());
  std::vector<std::byte> block(kBlock);
  const std::uint64_t limit = max_bytes > 0 ? max_bytes : kLargest;
  for (std::uint64_t bytes = 0;;) {
    const la_ssize_t got = archive_read_data(reader.get(), block.data(), block.size());
    if (got < 0) {
      const char* reason = archive_error_string(reader.get());
      fail(reason != nullptr ? reason : "it is damaged");
    }
    if (got == 0) break;
    bytes += static_cast<std::uint64_t>(got);
    if (bytes > limit) fail(fmt::format("it is larger than the {} bytes expected", limit));
    const std::span<const std::byte> part = std::span(block).first(static_cast<std::size_t>(got));
    computed.update(part);
    file.write(part);
  }
  const std::string hex = computed.hex();
  if (!digest.accepts(hex)) fail(digest.describe_difference(hex));
  file.commit();
  return true;
}

}  // namespace headstart
