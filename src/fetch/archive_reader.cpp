#include "fetch/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <locale.h>

#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kShownBytes = 200;        // of a name, which may be a million bytes long
constexpr std::uint64_t kRatioFrom = 64 << 20;  // unpacked bytes below which nobody is harmed

// libarchive converts UTF-8 names to the thread's character set, and gives none for those that it cannot hold; a program that never called
// setlocale() has ASCII.
class Utf8Names {
 public:
  Utf8Names() : before_(uselocale(utf8())) {}
  ~Utf8Names() { uselocale(before_); }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  // A null locale (a system without C.UTF-8) leaves everything as it is.
  static locale_t utf8() {
    static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;
  }
  locale_t before_;
};

MemberKind kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return MemberKind::kHardLink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return MemberKind::kFile;
    case AE_IFDIR:
      return MemberKind::kFolder;
    case AE_IFLNK:
      return MemberKind::kSymbolicLink;
    default:
      return MemberKind::kSpecial;
  }
}

}  // namespace

void ArchiveReader::Cleanup::operator()(archive* reader) const { archive_read_free(reader); }

ArchiveReader::ArchiveReader(std::filesystem::path path, const ArchiveLimits& limits)
    : path_(std::move(path)), limits_(limits), reader_(archive_read_new()) {
  archive* const reader = reader_.get();
  // Zip's streaming reader would take a file without its central directory: one that is cut off.
  if (reader == nullptr || archive_read_support_format_zip_seekable(reader) != ARCHIVE_OK ||
      archive_read_support_format_tar(reader) != ARCHIVE_OK || archive_read_support_filter_gzip(reader) != ARCHIVE_OK) {
    throw Error(ErrorCategory::kInternal, "cannot start libarchive");
  }
  std::error_code error;
  size_ = std::filesystem::file_size(path_, error);
  if (error) throw Error(ErrorCategory::kFile, fmt::format("cannot read {}: {}; check the path", path_.string(), error.message()));
  const Utf8Names names;
  if (archive_read_open_filename(reader, path_.c_str(), kBlock) != ARCHIVE_OK) fail(last_reason());
}

const ArchiveMember* ArchiveReader::next() {
  const Utf8Names names;
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(reader_.get(), &entry);
  if (status == ARCHIVE_EOF) {
    check_end();
    return nullptr;
  }
  // A warning is about details of a member that is whole; when its name is concerned, there is none.
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) fail(last_reason());
  if (++members_ > limits_.members) fail(fmt::format("it has more than {} members", human_count(limits_.members)));
  const char* const name = archive_entry_pathname(entry);
  if (name == nullptr) fail(fmt::format("the name of member {} cannot be read", members_));
  member_ = {name, kind_of(entry), archive_entry_is_encrypted(entry) != 0};
  // Before anything is written; what is not announced, or falsely, is counted by read().
  if (archive_entry_size_is_set(entry) != 0) check_total(static_cast<std::uint64_t>(archive_entry_size(entry)));
  return &member_;
}

std::size_t ArchiveReader::read(std::span<std::byte> block) {
  const la_ssize_t got = archive_read_data(reader_.get(), block.data(), block.size());
  if (got < 0) refuse_member(fmt::format("cannot be read: {}", last_reason()));
  check_total(static_cast<std::uint64_t>(got));
  unpacked_ += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got);
}

std::uint64_t ArchiveReader::position() const { return static_cast<std::uint64_t>(archive_filter_bytes(reader_.get(), -1)); }

void ArchiveReader::check_total(std::uint64_t more) const {
  const auto limit = static_cast<std::uint64_t>(limits_.bytes);
  if (more > limit - unpacked_) fail(fmt::format("its members have more than {} in all", human_bytes(limits_.bytes)));
  const std::uint64_t total = unpacked_ + more;
  if (total > kRatioFrom && total / static_cast<std::uint64_t>(limits_.ratio) > size_) {
    fail(fmt::format("its {} would unpack to more than {} times as much, which photos do not",
                     human_bytes(static_cast<std::int64_t>(size_)), limits_.ratio));
  }
}

// A tar archive ends with a block of zeros. libarchive takes the end of the file for one, too, and would not notice that members are
// missing.
void ArchiveReader::check_end() const {
  const bool tar = (archive_format(reader_.get()) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
  if (tar && archive_filter_bytes(reader_.get(), 0) <= archive_read_header_position(reader_.get())) fail("it is cut off");
}

std::string ArchiveReader::last_reason() const {
  const char* const reason = archive_error_string(reader_.get());
  if (reason == nullptr) return "it is damaged";
  if (std::string_view(reason) == "Unrecognized archive format") return "it is no zip, tar.gz or tar archive, or it is empty or cut off";
  return valid_utf8(reason);
}

void ArchiveReader::fail(std::string_view reason) const {
  throw Error(ErrorCategory::kData, fmt::format("cannot unpack {}: {}", path_.string(), reason));
}

void ArchiveReader::refuse_member(std::string_view reason) const {
  const std::string& name = member_.name;
  const std::string shown = name.size() > kShownBytes ? name.substr(0, kShownBytes) + "…" : name;
  fail(fmt::format("its member '{}' {}", valid_utf8(shown), reason));
}

}  // namespace headstart
