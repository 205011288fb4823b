// Ctrl-C and SIGTERM: the first asks the work to end cleanly, the second ends the program at once.
//
// Thread-safety: all functions may be called from any thread after install_signal_handlers().
#pragma once

namespace headstart::cli {

// Handles SIGINT and SIGTERM, and ignores SIGPIPE: a reader that goes away must end neither a training (stderr) nor a download (sockets).
void install_signal_handlers();

// A signal has come. Given to the library as should_stop.
bool interrupted();

// Said on stderr at the first signal; a literal, "" to say nothing.
void set_interrupt_notice(const char* notice);

}  // namespace headstart::cli
