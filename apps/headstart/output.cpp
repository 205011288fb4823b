#include "output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "headstart/error.h"
#include "text.h"

namespace headstart::cli {

Output::Output(std::filesystem::path file) : file_(std::move(file)), descriptor_(STDOUT_FILENO) {
  if (file_.empty()) return;
  std::error_code ignored;
  const auto status = std::filesystem::status(file_, ignored);
  const bool direct = std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
  if (!direct) temporary_ = fmt::format("{}.{}.part", file_.string(), getpid());
  descriptor_ = open((direct ? file_ : temporary_).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("cannot write to");
  }
}

Output::~Output() {
  if (descriptor_ > STDERR_FILENO) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void Output::fail(const char* operation) const {
  const int reason = errno;
  if (reason == EPIPE) throw OutputClosed();
  const std::string target = file_.empty() ? "standard output" : printable(file_.string());
  throw Error(ErrorCategory::kFile, fmt::format("{} {}: {}", operation, target, std::strerror(reason)));
}

void Output::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("cannot write to");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void Output::finish() {
  if (descriptor_ <= STDERR_FILENO) return;
  const int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0) fail("cannot finish");
  if (!temporary_.empty() && rename(temporary_.c_str(), file_.c_str()) != 0) fail("cannot put the result in place at");
  temporary_.clear();
}

void write_file(const std::filesystem::path& file, std::string_view contents) {
  Output output(file);
  output.write(contents);
  output.finish();
}

}  // namespace headstart::cli
