#include "fetch/python_package.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "core/file.h"
#include "headstart/error.h"
#include "headstart/text.h"

extern char** environ;

namespace headstart {
namespace {

constexpr std::chrono::milliseconds kPoll{20};
constexpr std::chrono::seconds kGrace{3};  // between asking the child to end and ending it

[[noreturn]] void fail_system(std::string_view operation, int error) {
  throw Error(ErrorCategory::kNetwork, fmt::format("cannot {}: {}", operation, std::generic_category().message(error)));
}

// A child process in a group of its own: what it starts ends with it.
class Child {
 public:
  Child(const std::vector<std::string>& command, const std::filesystem::path& errors) {
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attributes) != 0) fail_system("start a process", ENOMEM);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    const int error = posix_spawnp(&id_, command.front().c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) fail_system(fmt::format("run {}", command.front()), error);
  }
  ~Child() {
    if (ended_) return;
    ::kill(-id_, SIGTERM);
    const auto deadline = std::chrono::steady_clock::now() + kGrace;
    while (!poll() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kPoll);
    if (ended_) return;
    ::kill(-id_, SIGKILL);
    while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // True once the child has ended.
  bool poll() {
    int status = 0;
    const pid_t got = ended_ ? id_ : ::waitpid(id_, &status, WNOHANG);
    if (ended_ || got == 0 || (got < 0 && errno == EINTR)) return ended_;
    ended_ = true;
    succeeded_ = got == id_ && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return true;
  }
  bool succeeded() const { return succeeded_; }

 private:
  pid_t id_ = -1;
  bool ended_ = false;
  bool succeeded_ = false;
};

// The last lines of what the child complained about.
std::string last_lines(const std::filesystem::path& path) {
  constexpr std::size_t kLines = 3;
  constexpr std::size_t kMost = 600;
  std::string text = std::filesystem::exists(path) ? read_text_file(path) : "";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::size_t start = text.size();
  for (std::size_t line = 0; line < kLines && start != 0 && start != std::string::npos; ++line) start = text.rfind('\n', start - 1);
  if (start != std::string::npos && start != 0) text.erase(0, start + 1);
  if (text.size() > kMost) text.erase(0, text.size() - kMost);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "it said nothing" : valid_utf8(text);
}

std::filesystem::path only_wheel(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  throw Error(ErrorCategory::kNetwork, "pip ended well, but brought no wheel");
}

}  // namespace

std::filesystem::path download_package(const std::string& package, const std::string& sha256, const std::filesystem::path& folder,
                                       const std::function<bool()>& should_stop) {
  const std::filesystem::path requirements = folder / "requirements.txt";
  const std::filesystem::path errors = folder / "errors.txt";
  write_file_atomically(requirements, fmt::format("{} --hash=sha256:{}\n", package, sha256));
  Child pip({"python3", "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet", "--no-deps",
             "--only-binary=:all:", "--require-hashes", "--dest", folder.string(), "--requirement", requirements.string()},
            errors);
  while (!pip.poll()) {
    if (should_stop && should_stop()) throw Error(ErrorCategory::kInterrupted, fmt::format("stopped while pip fetched {}", package));
    std::this_thread::sleep_for(kPoll);
  }
  if (!pip.succeeded()) {
    throw Error(ErrorCategory::kNetwork, fmt::format("`python3 -m pip download {}` failed: {}", package, last_lines(errors)));
  }
  return only_wheel(folder);
}

}  // namespace headstart
