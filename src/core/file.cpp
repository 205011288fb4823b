#include "core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "headstart/error.h"

namespace headstart {
namespace {

constexpr std::size_t kWriteBuffer = 1 << 20;

[[noreturn]] void throw_system_error(std::string_view operation, const std::filesystem::path& path, int error) {
  std::string_view advice;
  if (error == ENOENT) advice = "; check the path";
  if (error == EACCES || error == EPERM || error == EROFS) advice = "; check the permissions, or choose another folder";
  if (error == ENOSPC || error == EDQUOT) advice = "; free some space, or choose another folder";
  throw Error(ErrorCategory::kFile,
              fmt::format("cannot {} {}: {}{}", operation, path.string(), std::generic_category().message(error), advice));
}

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : value_(::open(path.c_str(), flags | O_CLOEXEC)) {
    if (value_ < 0) throw_system_error("open", path, errno);
  }
  ~Descriptor() { ::close(value_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

std::uint64_t regular_file_size(const Descriptor& file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_system_error("examine", path, errno);
  if (S_ISDIR(status.st_mode))
    throw Error(ErrorCategory::kFile, fmt::format("cannot read {}: it is a folder, expected a file", path.string()));
  if (!S_ISREG(status.st_mode)) throw Error(ErrorCategory::kFile, fmt::format("cannot read {}: it is not a regular file", path.string()));
  return static_cast<std::uint64_t>(status.st_size);
}

void write_all(int descriptor, const std::filesystem::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw_system_error("write", path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  size_ = static_cast<std::size_t>(regular_file_size(file, path));
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) throw_system_error("map", path, errno);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

void read_file(const std::filesystem::path& path, std::vector<std::byte>& out, std::uint64_t max_bytes) {
  // O_NONBLOCK: a named pipe in a photo folder must not hang a worker.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  const std::uint64_t size = regular_file_size(file, path);
  if (size > max_bytes) {
    throw Error(ErrorCategory::kFile, fmt::format("cannot read {}: it has {} bytes, at most {} are read", path.string(), size, max_bytes));
  }
  out.resize(static_cast<std::size_t>(size));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(file.get(), out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error("read", path, errno);
    if (got == 0) break;  // the file shrank while it was read: what is left is judged by its content
    done += static_cast<std::size_t>(got);
  }
  out.resize(done);
}

std::string read_text_file(const std::filesystem::path& path) {
  std::vector<std::byte> bytes;
  read_file(path, bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  // Process and counter keep two writers of one target apart; the leading dot hides a leftover of a killed process.
  static std::atomic<unsigned> counter{0};
  temporary_ = path_.parent_path() / fmt::format(".{}.{}.{}.tmp", path_.filename().string(), ::getpid(), counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_system_error("write", path_, errno);
  buffer_.reserve(kWriteBuffer);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kWriteBuffer) flush();
  if (bytes.size() < kWriteBuffer) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return;
  }
  write_all(descriptor_, path_, bytes);
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void AtomicFile::flush() {
  write_all(descriptor_, path_, buffer_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  if (::fsync(descriptor_) != 0) throw_system_error("write", path_, errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    throw_system_error("write", path_, error);
  }
  sync_folder(path_.parent_path());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

NewFile::NewFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_system_error("write", path_, errno);
}

NewFile::~NewFile() { ::close(descriptor_); }

void NewFile::write(std::span<const std::byte> bytes) { write_all(descriptor_, path_, bytes); }

ReservedFile::ReservedFile(std::filesystem::path path, std::uint64_t size) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_system_error("write", path_, errno);
  const auto length = static_cast<off_t>(size);
  int error = ::posix_fallocate(descriptor_, 0, length);
  if (error == 0 && ::ftruncate(descriptor_, length) != 0) error = errno;
  if (error == 0) return;
  ::close(descriptor_);
  ::unlink(path_.c_str());
  throw_system_error(fmt::format("reserve {} bytes for", size), path_, error);
}

ReservedFile::~ReservedFile() { ::close(descriptor_); }

void ReservedFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error("read", path_, errno);
    if (got == 0) throw Error(ErrorCategory::kFile, fmt::format("cannot read {}: it ends at byte {}", path_.string(), offset));
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void ReservedFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw_system_error("write", path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void sync_everything_in(const std::filesystem::path& folder) {
  const Descriptor descriptor(folder, O_RDONLY | O_DIRECTORY);
  if (::syncfs(descriptor.get()) != 0) throw_system_error("write", folder, errno);
}

}  // namespace headstart
