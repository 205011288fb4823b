#include "cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <stdexcept>

namespace headstart::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kDeadline{120};  // for a busy machine under AddressSanitizer

void check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string(what) + " failed");
}

struct Ends {
  int ours = -1;
  int theirs = -1;
};

Ends make_pipe(bool we_read) {
  std::array<int, 2> ends;
  check(pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  return we_read ? Ends{ends[0], ends[1]} : Ends{ends[1], ends[0]};
}

Ends make_terminal(const Streams& streams) {
  Ends ends;
  winsize size{.ws_row = static_cast<unsigned short>(streams.rows),
               .ws_col = static_cast<unsigned short>(streams.columns),
               .ws_xpixel = 0,
               .ws_ypixel = 0};
  check(openpty(&ends.ours, &ends.theirs, nullptr, nullptr, &size) == 0, "openpty");
  fcntl(ends.ours, F_SETFD, FD_CLOEXEC);
  fcntl(ends.theirs, F_SETFD, FD_CLOEXEC);
  return ends;
}

std::vector<std::string> environment_of(const Streams& streams) {
  std::vector<std::string> environment = {"TERM=xterm", "LC_ALL=C.UTF-8"};
  // Sanitizer settings and the search path of libraries reach the program; a person's NO_COLOR and caches do not.
  for (const char* const name : {"PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH", "TMPDIR"}) {
    if (const char* const value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  for (const auto& [name, value] : streams.environment) {
    std::erase_if(environment, [&name = name](const std::string& entry) { return entry.starts_with(name + "="); });
    environment.push_back(name + "=" + value);
  }
  return environment;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const Streams& streams) : close_output_early_(streams.close_output_early) {
  const Ends out = streams.output_on_terminal ? make_terminal(streams) : make_pipe(true);
  const Ends err = streams.error_on_terminal ? make_terminal(streams) : make_pipe(true);
  const Ends in =
      streams.input_on_terminal ? Ends{fcntl(out.ours, F_DUPFD_CLOEXEC, 0), fcntl(out.theirs, F_DUPFD_CLOEXEC, 0)} : make_pipe(false);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.theirs, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.theirs, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.theirs, STDERR_FILENO);
  posix_spawn_file_actions_addchdir_np(&actions, streams.folder.c_str());
  std::vector<std::string> words = streams.before;
  words.emplace_back(HEADSTART_PROGRAM);
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = environment_of(streams);
  const int failed = posix_spawnp(&child_, words.front().c_str(), &actions, nullptr, pointers(words).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  for (const int descriptor : {in.theirs, out.theirs, err.theirs}) close(descriptor);
  check(failed == 0, "posix_spawn");
  in_ = in.ours;
  out_ = out.ours;
  err_ = err.ours;
  // Inputs of tests are small enough for the pipe's buffer.
  check(write(in_, streams.input.data(), streams.input.size()) == static_cast<ssize_t>(streams.input.size()), "write to standard input");
  if (!streams.keep_input_open && !streams.input_on_terminal) {
    close(in_);
    in_ = -1;
  }
}

Process::~Process() {
  if (child_ > 0) {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  for (const int descriptor : {in_, out_, err_}) {
    if (descriptor >= 0) close(descriptor);
  }
}

bool Process::read_some() {
  std::array<pollfd, 2> sources = {pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
  if (out_ < 0 && err_ < 0) return false;
  check(poll(sources.data(), sources.size(), static_cast<int>(std::chrono::milliseconds(kDeadline).count())) > 0,
        "waiting for the program (deadline)");
  std::array<char, 4096> buffer;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].revents == 0) continue;
    int& descriptor = i == 0 ? out_ : err_;
    const ssize_t count = read(descriptor, buffer.data(), buffer.size());
    if (count > 0) (i == 0 ? out_text_ : err_text_).append(buffer.data(), static_cast<std::size_t>(count));
    if (count <= 0 || (i == 0 && close_output_early_)) {  // a terminal whose other side is closed says EIO
      close(descriptor);
      descriptor = -1;
    }
  }
  return true;
}

bool Process::wait_for_error_text(const std::string& text) {
  while (err_text_.find(text) == std::string::npos) {
    if (!read_some()) return false;
  }
  return true;
}

bool Process::wait_for_output_text(const std::string& text) {
  while (out_text_.find(text) == std::string::npos) {
    if (!read_some()) return false;
  }
  return true;
}

void Process::type(const std::string& text) const {
  check(write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "typing");
}

bool Process::echoes() const {
  termios settings{};
  check(tcgetattr(in_, &settings) == 0, "tcgetattr");
  return (settings.c_lflag & static_cast<tcflag_t>(ECHO)) != 0;
}

void Process::send_signal(int signal) const { kill(child_, signal); }

Outcome Process::finish() {
  while (read_some()) {
  }
  int status = 0;
  check(waitpid(child_, &status, 0) == child_, "waitpid");
  child_ = -1;
  Outcome outcome;
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  outcome.out = std::move(out_text_);
  outcome.err = std::move(err_text_);
  return outcome;
}

Outcome run(const std::vector<std::string>& arguments, const Streams& streams) { return Process(arguments, streams).finish(); }

}  // namespace headstart::test
