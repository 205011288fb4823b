#include "log.h"

#include <fmt/format.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <memory>

#include "headstart/error.h"
#include "text.h"

namespace headstart::cli {
namespace {

class ConsoleSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit ConsoleSink(Console& console) : console_(console) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string text = printable(std::string_view(message.payload.data(), message.payload.size()));
    if (message.level >= spdlog::level::warn) {
      console_.warn(text);
    } else if (message.level >= spdlog::level::info) {
      console_.say(text);
    } else if (console_.verbosity() == Verbosity::kVerbose) {
      console_.say(console_.paint().dim(text));
    }
  }
  void flush_() override {}

 private:
  Console& console_;
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
  }
  return spdlog::level::info;
}

}  // namespace

LogSink make_log_sink(Console& console, const std::filesystem::path& log_file) {
  auto logger = std::make_shared<spdlog::logger>("headstart", std::make_shared<ConsoleSink>(console));
  if (!log_file.empty()) {
    try {
      auto file = std::make_shared<spdlog::sinks::basic_file_sink_st>(log_file.string());
      file->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
      logger->sinks().push_back(std::move(file));
    } catch (const spdlog::spdlog_ex& error) {
      throw Error(ErrorCategory::kFile, fmt::format("--log-file {}: {}", printable(log_file.string()), error.what()));
    }
  }
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  return [logger](LogLevel level, std::string_view message) { logger->log(to_spdlog(level), message); };
}

}  // namespace headstart::cli
