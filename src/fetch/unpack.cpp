#include "fetch/unpack.h"

#include <fmt/format.h>

#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/file.h"
#include "fetch/archive_reader.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kPartBytes = 255;  // what file systems take
constexpr std::string_view kMacFolder = "__MACOSX";

// The parts of a member's path. "." and doubled slashes say nothing.
std::vector<std::string_view> path_parts(std::string_view name) {
  std::vector<std::string_view> parts;
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, end);
    if (!part.empty() && part != ".") parts.push_back(part);
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return parts;
}

class Unpacking {
 public:
  Unpacking(const std::filesystem::path& archive, const std::filesystem::path& folder, const ArchiveOptions& options)
      : reader_(archive, options.limits), folder_(folder), options_(options), block_(kBlock) {}

  Unpacked run() {
    make_folder(folder_);
    while (const ArchiveMember* const member = reader_.next()) {
      report();
      take(*member);
    }
    return unpacked_;
  }

 private:
  void take(const ArchiveMember& member) {
    if (member.encrypted) reader_.refuse_member("is encrypted");
    if (member.kind == MemberKind::kSymbolicLink || member.kind == MemberKind::kHardLink)
      reader_.refuse_member("is a link, which could lead anywhere");
    if (member.kind == MemberKind::kSpecial) reader_.refuse_member("is neither a file nor a folder");
    const std::vector<std::string_view> parts = path_parts(member.name);
    check_path(member.name, parts);
    if (parts.empty() && member.kind == MemberKind::kFile) reader_.refuse_member("is a file without a name");
    if (parts.empty() || parts.front() == kMacFolder) return;
    std::filesystem::path path = folder_;
    for (const std::string_view part : parts) path /= part;
    if (member.kind == MemberKind::kFolder) return make_folder(path);
    make_folder(path.parent_path());
    write(path);
  }

  void check_path(const std::string& name, const std::vector<std::string_view>& parts) const {
    const ArchiveLimits& limits = options_.limits;
    if (!name.empty() && name.front() == '/') reader_.refuse_member("has an absolute path and would land outside the folder");
    if (name.size() > static_cast<std::size_t>(limits.path_bytes))
      reader_.refuse_member(fmt::format("has a path of {} bytes, at most {} are taken", name.size(), limits.path_bytes));
    if (parts.size() > static_cast<std::size_t>(limits.depth))
      reader_.refuse_member(fmt::format("lies {} folders deep, at most {} are taken", parts.size(), limits.depth));
    for (const std::string_view part : parts) {
      if (part == "..") reader_.refuse_member("would land outside the folder");
      if (part.size() > kPartBytes)
        reader_.refuse_member(fmt::format("has a name of {} bytes, at most {} are taken", part.size(), kPartBytes));
    }
  }

  // With those above it.
  void make_folder(const std::filesystem::path& path) const {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error == std::errc::not_a_directory || error == std::errc::file_exists) reader_.refuse_member("needs a folder where a file is");
    if (error) throw Error(ErrorCategory::kFile, fmt::format("cannot make the folder {}: {}", path.string(), error.message()));
  }

  void write(const std::filesystem::path& path) {
    std::error_code ignored;  // whatever is wrong with the path, opening it will say so
    if (std::filesystem::exists(path, ignored)) reader_.refuse_member("is there twice");
    NewFile file(path);
    while (const std::size_t got = reader_.read(block_)) {
      file.write(std::span(block_).first(got));
      unpacked_.bytes += static_cast<std::int64_t>(got);
      report();
    }
    ++unpacked_.files;
  }

  void report() const {
    if (options_.should_stop && options_.should_stop())
      throw Error(ErrorCategory::kInterrupted, "stopped while unpacking; run it again and it starts over with that");
    if (options_.on_unpack) options_.on_unpack(static_cast<std::int64_t>(reader_.position()), static_cast<std::int64_t>(reader_.size()));
  }

  ArchiveReader reader_;
  const std::filesystem::path& folder_;
  const ArchiveOptions& options_;
  std::vector<std::byte> block_;
  Unpacked unpacked_;
};

}  // namespace

Unpacked unpack_archive(const std::filesystem::path& archive, const std::filesystem::path& folder, const ArchiveOptions& options) {
  return Unpacking(archive, folder, options).run();
}

}  // namespace headstart
