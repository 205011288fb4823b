// The library's log messages: shown on the console as the verbosity says, and written with their times to --log-file (spdlog).
//
// Thread-safety: the sink may be called from one thread at a time. Ownership: the sink borrows the Console. Errors: Error(kFile) when the
// log file cannot be opened.
#pragma once

#include <filesystem>

#include "headstart/log.h"
#include "terminal.h"

namespace headstart::cli {

LogSink make_log_sink(Console& console, const std::filesystem::path& log_file);

}  // namespace headstart::cli
