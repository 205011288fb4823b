#include "terminal.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>

namespace headstart::cli {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

}  // namespace

std::string Paint::wrap(const char* code, std::string_view text) const {
  return enabled_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

bool is_terminal(int descriptor) {
  const char* const kind = std::getenv("TERM");
  return isatty(descriptor) == 1 && kind != nullptr && std::string_view(kind) != "dumb" && *kind != '\0';
}

int terminal_columns(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

Paint paint_for(int descriptor) {
  const char* const no_color = std::getenv("NO_COLOR");
  return Paint(is_terminal(descriptor) && (no_color == nullptr || *no_color == '\0'));
}

bool locale_is_utf8() {
  const locale_t locale = newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;
  const bool utf8 = std::string_view(nl_langinfo_l(CODESET, locale)) == "UTF-8";
  freelocale(locale);
  return utf8;
}

int text_columns(std::string_view text) {
  int columns = 0;
  for (const char c : text) columns += continues(c) ? 0 : 1;
  return columns;
}

std::string cut_to_columns(std::string_view text, int columns) {
  std::size_t end = 0;
  for (int seen = 0; end < text.size(); ++end) {
    if (!continues(text[end]) && seen++ == columns) break;
  }
  return std::string(text.substr(0, end));
}

Console::Console() : terminal_(is_terminal(STDERR_FILENO)), paint_(paint_for(STDERR_FILENO)) {}

Console::~Console() { set_live(""); }

int Console::columns() const { return terminal_columns(STDERR_FILENO); }

void Console::say(std::string_view text) {
  if (verbosity_ != Verbosity::kQuiet) line(text);
}

void Console::warn(std::string_view text) { line(fmt::format("{} {}", paint_.yellow("warning:"), text)); }

void Console::error(std::string_view text) { line(fmt::format("headstart: {} {}", paint_.red("error:"), text)); }

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  const std::string live = live_;
  clear_live();
  write(fmt::format("{}\n", text));
  live_ = live;
  write(live_);
}

void Console::set_live(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!terminal_ || (text.empty() && live_.empty())) return;
  // One write for clearing and drawing, so that the line does not flicker.
  live_ = text;
  write(fmt::format("\r\x1b[2K{}", live_));
}

void Console::clear_live() {
  if (live_.empty()) return;
  write("\r\x1b[2K");
  live_.clear();
}

void Console::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace headstart::cli
