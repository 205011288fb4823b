#include "interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "headstart/error.h"
#include "terminal.h"

namespace headstart::cli {
namespace {

constexpr int kForwarded = 0x6873;  // what forward_interrupt() sends along

std::atomic<bool> g_interrupted{false};
std::atomic<bool> g_interrupted_directly{false}, g_interrupted_by_launcher{false};
std::atomic<const char*> g_notice{""};
std::atomic<bool> g_terminal{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free, "used in a signal handler");

void write_all(const char* text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

// Only async-signal-safe calls.
void on_signal(int, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const bool forwarded = info->si_code == SI_QUEUE && info->si_value.sival_int == kForwarded;
  if ((forwarded ? g_interrupted_by_launcher : g_interrupted_directly).exchange(true)) {
    if (g_terminal) write_all("\r\x1b[2K");
    _exit(exit_code(ErrorCategory::kInterrupted));
  }
  const char* const notice = g_notice;
  if (!g_interrupted.exchange(true) && *notice != '\0') {
    if (g_terminal) write_all("\r\x1b[2K");
    write_all(notice);
    write_all("\n");
  }
  errno = saved_errno;
}

}  // namespace

void install_signal_handlers() {
  g_terminal = is_terminal(STDERR_FILENO);
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_flags = SA_RESTART;
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

bool interrupted() { return g_interrupted; }

void forward_interrupt(pid_t process) {
  sigval value = {};
  value.sival_int = kForwarded;
  sigqueue(process, SIGTERM, value);
}

void set_interrupt_notice(const char* notice) { g_notice = notice; }

}  // namespace headstart::cli
