// Log messages: the library hands them to the sink that the caller put into an options struct; without one they are dropped.
//
// Thread-safety: the library calls a sink from one thread at a time for one operation. Ownership: options structs hold a copy.
#pragma once

#include <functional>
#include <string_view>

namespace headstart {

enum class LogLevel { kDebug, kInfo, kWarning };

using LogSink = std::function<void(LogLevel level, std::string_view message)>;

}  // namespace headstart
