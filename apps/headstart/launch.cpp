// headstart launch: the same training in several processes on this machine.
#include "launch.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "cli.h"
#include "headstart/error.h"
#include "interrupt.h"
#include "options.h"

namespace headstart::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLastWords{15};  // for the other ranks, once one has died
constexpr const char* kExamples =
    "Examples:\n"
    "  headstart launch --processes 2 train photos/\n"
    "  headstart launch --processes 4 train --resume runs/photos-1\n"
    "\n"
    "Everything from train on is headstart's own command line, the same in every process. On several machines, and under Slurm, start\n"
    "the processes yourself: docs/distributed.md.";

struct Rank {
  pid_t process = -1;
  std::optional<int> status;  // as waitpid's, once it has ended
};

// The asked port, or a free one for 0. Free now; should another program take it before rank 0 does, rank 0 says so.
int meeting_port(int asked) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(asked));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool free = bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                    getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  const int problem = errno;
  close(descriptor);
  if (free) return ntohs(address.sin_port);
  throw Error(ErrorCategory::kNetwork, fmt::format("launch: rank 0 cannot listen at 127.0.0.1:{}: {}; choose another port with --port",
                                                   asked, std::strerror(problem)));
}

// The environment with the group's variables in the place of any that were there.
std::vector<std::string> environment_of(int rank, int processes, int port) {
  const std::vector<std::pair<std::string, std::string>> own = {
      {"RANK", std::to_string(rank)},       {"WORLD_SIZE", std::to_string(processes)},       {"MASTER_ADDR", "127.0.0.1"},
      {"LOCAL_RANK", std::to_string(rank)}, {"LOCAL_WORLD_SIZE", std::to_string(processes)}, {"MASTER_PORT", std::to_string(port)}};
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    if (std::none_of(own.begin(), own.end(), [&](const auto& variable) { return variable.first == name; })) all.push_back(text);
  }
  for (const auto& [name, value] : own) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

pid_t start(const Launch& launch, int rank, int port) {
  std::vector<std::string> words = {"headstart"};
  words.insert(words.end(), launch.arguments.begin(), launch.arguments.end());
  std::vector<std::string> environment = environment_of(rank, launch.processes, port);
  const std::vector<char*> argv = pointers(words), envp = pointers(environment);
  const pid_t launcher = getpid();
  const pid_t child = fork();
  if (child < 0) throw Error(ErrorCategory::kDevice, fmt::format("launch: rank {} could not be started: {}", rank, std::strerror(errno)));
  if (child > 0) return child;
  // The ranks do not outlive the launcher. From here to exec only async-signal-safe calls.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == launcher) execve("/proc/self/exe", argv.data(), envp.data());
  _exit(127);
}

bool all_ended(const std::vector<Rank>& ranks) {
  return std::all_of(ranks.begin(), ranks.end(), [](const Rank& rank) { return rank.status.has_value(); });
}

void signal_all(const std::vector<Rank>& ranks, int signal) {
  for (const Rank& rank : ranks) {
    if (!rank.status) kill(rank.process, signal);
  }
}

// A rank that was interrupted and saved has not failed.
bool has_failed(const Rank& rank) {
  if (!rank.status) return false;
  return !WIFEXITED(*rank.status) ||
         (WEXITSTATUS(*rank.status) != 0 && WEXITSTATUS(*rank.status) != exit_code(ErrorCategory::kInterrupted));
}

void note_ends(std::vector<Rank>& ranks) {
  for (Rank& rank : ranks) {
    int status = 0;
    if (!rank.status && waitpid(rank.process, &status, WNOHANG) == rank.process) rank.status = status;
  }
}

// Waits for all ranks; returns the one that failed first.
std::optional<std::size_t> look_after(std::vector<Rank>& ranks) {
  std::optional<std::size_t> failed;
  Clock::time_point deadline;
  bool forwarded = false;
  while (!all_ended(ranks)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    note_ends(ranks);
    if (interrupted() && !std::exchange(forwarded, true)) {
      for (const Rank& rank : ranks) {
        if (!rank.status) forward_interrupt(rank.process);
      }
    }
    const auto first = std::find_if(ranks.begin(), ranks.end(), has_failed);
    if (!failed && first != ranks.end()) {
      failed = static_cast<std::size_t>(first - ranks.begin());
      deadline = Clock::now() + kLastWords;
    }
    if (failed && Clock::now() > deadline) signal_all(ranks, SIGKILL);
  }
  return failed;
}

[[noreturn]] void report(std::size_t rank, const Rank& ended) {
  if (WIFEXITED(*ended.status)) {
    const int code = WEXITSTATUS(*ended.status);
    throw Error(
        static_cast<ErrorCategory>(code),
        fmt::format("launch: rank {} (process {}) ended first, with exit code {}; all ranks have ended", rank, ended.process, code));
  }
  const int signal = WTERMSIG(*ended.status);
  throw Error(
      ErrorCategory::kNetwork,
      fmt::format("launch: rank {} (process {}) was ended by signal {} ({}); all ranks have ended. The last checkpoint is kept: go on with "
                  "train --resume",
                  rank, ended.process, signal, strsignal(signal)));
}

}  // namespace

void launch(const Launch& launch, Console& console) {
  set_interrupt_notice("");  // rank 0 says it
  const int port = meeting_port(launch.port);
  std::vector<Rank> ranks;
  for (int rank = 0; rank < launch.processes; ++rank) {
    try {
      ranks.push_back({.process = start(launch, rank, port), .status = std::nullopt});
    } catch (const Error&) {
      signal_all(ranks, SIGKILL);
      throw;
    }
    if (console.verbosity() == Verbosity::kVerbose) console.say(fmt::format("rank {} is process {}", rank, ranks.back().process));
  }
  const std::optional<std::size_t> failed = look_after(ranks);
  if (failed) report(*failed, ranks[*failed]);
  const bool stopped = std::any_of(ranks.begin(), ranks.end(), [](const Rank& rank) { return WEXITSTATUS(*rank.status) != 0; });
  if (stopped) throw Error(ErrorCategory::kInterrupted, fmt::format("all {} processes have stopped", launch.processes));
}

void add_launch(CLI::App& app, Context& context) {
  CLI::App* const command =
      add_command(app, context, "launch", "Train in several processes on this machine, one a device or a share of the cores", kExamples);
  const auto request = std::make_shared<Launch>();
  add_count(*command, "--processes", request->processes, 1, "How many")->required();
  const auto assign = [request](const std::string& text) { request->port = static_cast<int>(parse_integer("--port", text, 1, 65'535)); };
  command->add_option_function<std::string>("--port", assign, "Where they meet, on this machine alone (default: a free one)")
      ->type_name("N");
  command->prefix_command();
  command->callback([command, request, &context] {
    context.action = [command, request, &context] {
      request->arguments = command->remaining();
      if (request->arguments.empty() || request->arguments.front() != "train") {
        throw Error(ErrorCategory::kUsage, fmt::format("launch: expected train and its arguments, found {}; see headstart launch --help",
                                                       request->arguments.empty() ? "nothing" : "'" + request->arguments.front() + "'"));
      }
      if (check_command_line(request->arguments)) launch(*request, context.console);
    };
  });
}

}  // namespace headstart::cli
