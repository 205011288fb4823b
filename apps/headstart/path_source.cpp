#include "path_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "headstart/dataset.h"
#include "headstart/error.h"
#include "interrupt.h"

namespace headstart::cli {
namespace {

constexpr int kPollMs = 100;
constexpr std::size_t kMostWaiting = 256;        // paths that a walk is ahead
constexpr std::size_t kLongestLine = 64 * 1024;  // far above PATH_MAX

}  // namespace

// walk_photos() hands its paths out; this turns them into something that can be asked for one.
class PathSource::FolderWalk {
 public:
  FolderWalk(const PathSource& owner, std::filesystem::path folder)
      : owner_(owner), thread_([this, folder = std::move(folder)] { walk(folder); }) {}

  ~FolderWalk() {
    {
      const std::lock_guard lock(mutex_);
      abandoned_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::optional<std::filesystem::path> next() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(kPollMs), [this] { return !waiting_.empty() || ended_; })) {
      if (owner_.ended_early()) return std::nullopt;
    }
    if (waiting_.empty()) {
      if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
      return std::nullopt;
    }
    std::filesystem::path path = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return path;
  }

 private:
  struct Abandoned {};

  void walk(const std::filesystem::path& folder) {
    std::exception_ptr failure;
    try {
      walk_photos(folder, [this](const std::filesystem::path& path) { offer(path); });
    } catch (const Abandoned&) {
      return;
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    ended_ = true;
    changed_.notify_all();
  }

  void offer(const std::filesystem::path& path) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_.size() < kMostWaiting || abandoned_; });
    if (abandoned_) throw Abandoned();
    waiting_.push_back(path);
    lock.unlock();
    changed_.notify_all();
  }

  const PathSource& owner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::filesystem::path> waiting_;
  std::exception_ptr failure_;
  bool ended_ = false;
  bool abandoned_ = false;
  std::thread thread_;  // last: it uses the members above
};

class PathSource::InputList {
 public:
  InputList(const PathSource& owner, char separator) : owner_(owner), separator_(separator) {}

  std::optional<std::filesystem::path> next() {
    while (true) {
      const std::size_t end = pending_.find(separator_, begin_);
      if (end != std::string::npos) {
        std::string line = pending_.substr(begin_, end - begin_);
        begin_ = end + 1;
        if (!line.empty()) return line;
      } else if (ended_) {
        std::string line = std::exchange(pending_, {}).substr(std::exchange(begin_, 0));
        return line.empty() ? std::nullopt : std::optional<std::filesystem::path>(line);
      } else if (!read_more()) {
        return std::nullopt;
      }
    }
  }

 private:
  // Waits in short steps, so that Ctrl-C ends a program whose input is silent. False when there is no more to wait for.
  bool read_more() {
    pending_.erase(0, std::exchange(begin_, 0));
    if (pending_.size() > kLongestLine) {
      throw Error(ErrorCategory::kUsage, fmt::format("standard input: expected paths, found a line of more than {} bytes", kLongestLine));
    }
    pollfd input{STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, kPollMs) <= 0) {
      if (owner_.ended_early()) return false;
    }
    std::array<char, 16 * 1024> buffer;
    const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno != EINTR && errno != EAGAIN) {
      throw Error(ErrorCategory::kFile, fmt::format("cannot read standard input: {}", std::strerror(errno)));
    }
    if (count > 0) pending_.append(buffer.data(), static_cast<std::size_t>(count));
    ended_ = count == 0;
    return true;
  }

  const PathSource& owner_;
  char separator_;
  std::string pending_;
  std::size_t begin_ = 0;
  bool ended_ = false;
};

PathSource::PathSource(std::vector<std::string> inputs, char separator) : inputs_(std::move(inputs)), separator_(separator) {}

PathSource::~PathSource() = default;

bool PathSource::ended_early() const { return closed_ || interrupted(); }

std::optional<std::filesystem::path> PathSource::next() {
  while (!ended_early()) {
    std::optional<std::filesystem::path> path;
    if (walk_) path = walk_->next();
    if (list_) path = list_->next();
    if (path) return path;
    walk_.reset();
    list_.reset();
    if (at_ == inputs_.size()) return std::nullopt;
    const std::string& input = inputs_[at_++];
    std::error_code ignored;
    if (input == "-") {
      list_ = std::make_unique<InputList>(*this, separator_);
    } else if (std::filesystem::is_directory(input, ignored)) {
      walk_ = std::make_unique<FolderWalk>(*this, input);
    } else {
      return input;
    }
  }
  return std::nullopt;
}

}  // namespace headstart::cli
