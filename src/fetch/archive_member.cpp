#include "fetch/archive_member.h"

#include <fmt/format.h>

#include <limits>
#include <memory>
#include <vector>

#include "core/file.h"
#include "fetch/archive_reader.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::size_t kBlock = 1 << 20;

// The reader at the file of that name; null when the archive is none, or holds no such file.
std::unique_ptr<ArchiveReader> find_file(const std::filesystem::path& path, const std::string& file_name) {
  try {
    auto reader = std::make_unique<ArchiveReader>(path);
    while (const ArchiveMember* const member = reader->next()) {
      if (member->kind == MemberKind::kFile && std::filesystem::path(member->name).filename() == file_name) return reader;
    }
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kData) throw;
  }
  return nullptr;
}

// Copies the rest of the member; gives its digest.
std::string copy_member(ArchiveReader& reader, AtomicFile& file, DigestKind kind, std::uint64_t max_bytes) {
  Digest computed(kind);
  std::vector<std::byte> block(kBlock);
  std::uint64_t bytes = 0;
  while (const std::size_t got = reader.read(block)) {
    bytes += got;
    if (bytes > max_bytes) reader.refuse_member(fmt::format("is larger than the {} bytes expected", max_bytes));
    const std::span<const std::byte> part = std::span(block).first(got);
    computed.update(part);
    file.write(part);
  }
  return computed.hex();
}

}  // namespace

bool extract_file(const std::filesystem::path& archive, const std::string& file_name, const std::filesystem::path& target,
                  const ExpectedDigest& digest, std::uint64_t max_bytes) {
  const std::unique_ptr<ArchiveReader> reader = find_file(archive, file_name);
  if (reader == nullptr) return false;
  AtomicFile file(target);
  try {
    const std::uint64_t limit = max_bytes > 0 ? max_bytes : std::numeric_limits<std::uint64_t>::max();
    const std::string hex = copy_member(*reader, file, digest.kind(), limit);
    if (!digest.accepts(hex)) reader->refuse_member(fmt::format("is not the right one: {}", digest.describe_difference(hex)));
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kData) throw;
    throw Error(ErrorCategory::kNetwork, fmt::format("cannot take {}: {}; fetch it again", file_name, error.what()));
  }
  file.commit();
  return true;
}

}  // namespace headstart
