#include "fetch/part_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/file.h"
#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::string_view kSourceMark = "headstart part 1\n";

[[noreturn]] void fail(std::string_view operation, const std::filesystem::path& path) {
  const int error = errno;
  const std::string_view advice = error == ENOSPC || error == EDQUOT  ? "; free some space and run it again, it goes on where it stopped"
                                  : error == EACCES || error == EROFS ? "; check the permissions, or choose another folder"
                                                                      : "";
  throw Error(ErrorCategory::kFile,
              fmt::format("cannot {} {}: {}{}", operation, path.string(), std::generic_category().message(error), advice));
}

// Mark, address and validator, each on a line; anything else means that nothing is known.
PartSource read_source(const std::filesystem::path& path) {
  constexpr std::uintmax_t kMaxBytes = 65536;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error) || std::filesystem::file_size(path, error) > kMaxBytes || error) return {};
  const std::string text = read_text_file(path);
  if (text.compare(0, kSourceMark.size(), kSourceMark) != 0) return {};
  const std::size_t url_end = text.find('\n', kSourceMark.size());
  const std::size_t end = url_end == std::string::npos ? url_end : text.find('\n', url_end + 1);
  if (end == std::string::npos) return {};
  return {text.substr(kSourceMark.size(), url_end - kSourceMark.size()), text.substr(url_end + 1, end - url_end - 1)};
}

}  // namespace

PartFile::PartFile(const std::filesystem::path& target) : target_(target), path_(target), source_path_(target) {
  path_ += ".part";
  source_path_ += ".part.from";
  source_ = read_source(source_path_);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("write", path_);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail("examine", path_);
  size_ = static_cast<std::uint64_t>(status.st_size);
}

PartFile::~PartFile() {
  if (descriptor_ < 0) return;
  if (size_ == 0) {
    discard();  // nothing to go on with
  } else {
    ::close(descriptor_);
  }
}

void PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("write", path_);
    size_ += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void PartFile::restart(const PartSource& source) {
  if (size_ > 0 && ::ftruncate(descriptor_, 0) != 0) fail("write", path_);
  size_ = 0;
  source_ = source;
  write_file_atomically(source_path_, fmt::format("{}{}\n{}\n", kSourceMark, source.url, source.validator));
}

void PartFile::finish() {
  if (::fsync(descriptor_) != 0) fail("write", path_);
  if (::rename(path_.c_str(), target_.c_str()) != 0) fail("rename", path_);
  ::unlink(source_path_.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
  sync_folder(target_.parent_path());
}

void PartFile::discard() {
  ::unlink(path_.c_str());
  ::unlink(source_path_.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace headstart
