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

std::atomic<bool> g_interrupted{false};
std::atomic<const char*> g_notice{""};
std::atomic<bool> g_terminal{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free, "used in a signal handler");

void write_all(const char* text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

// Only async-signal-safe calls.
void on_signal(int) {
  const int saved_errno = errno;
  if (g_interrupted.exchange(true)) {
    if (g_terminal) write_all("\r\x1b[2K");
    _exit(exit_code(ErrorCategory::kInterrupted));
  }
  const char* const notice = g_notice;
  if (*notice != '\0') {
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
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

bool interrupted() { return g_interrupted; }

void set_interrupt_notice(const char* notice) { g_notice = notice; }

}  // namespace headstart::cli
