// Ctrl-C and SIGTERM: the first asks the work to end cleanly, the second ends the program at once.
//
// A launcher passes a signal on to processes that the terminal may have told as well: what is passed on does not count as their second.
//
// Thread-safety: all functions may be called from any thread after install_signal_handlers().
#pragma once

#include <sys/types.h>

namespace headstart::cli {

// Handles SIGINT and SIGTERM, and ignores SIGPIPE: a reader that goes away must end neither a training (stderr) nor a download (sockets).
void install_signal_handlers();

// A signal has come. Given to the library as should_stop.
bool interrupted();

// Passes a signal on to another headstart.
void forward_interrupt(pid_t process);

// Said on stderr at the first signal; a literal, "" to say nothing.
void set_interrupt_notice(const char* notice);

}  // namespace headstart::cli
