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

int terminal_rows(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
  return 24;
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

int text_rows(std::string_view text, int columns) {
  int rows = 1, used = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\x1b') {  // up to the letter that ends the sequence
      while (at < text.size() && !(text[at] >= 'A' && text[at] != '[')) ++at;
    } else if (text[at] == '\n') {
      ++rows;
      used = 0;
    } else if (!continues(text[at]) && ++used > columns) {
      ++rows;
      used = 1;
    }
  }
  return rows;
}

std::string cut_to_columns(std::string_view text, int columns) {
  std::size_t end = 0;
  for (int seen = 0; end < text.size(); ++end) {
    if (!continues(text[end]) && seen++ == columns) break;
  }
  return std::string(text.substr(0, end));
}

Console::Console() : terminal_(is_terminal(STDERR_FILENO)), paint_(paint_for(STDERR_FILENO)) {}

Console::~Console() { keep_figure(); }

int Console::columns() const { return terminal_columns(STDERR_FILENO); }

void Console::say(std::string_view text) {
  if (verbosity_ != Verbosity::kQuiet) line(text);
}

void Console::warn(std::string_view text) { line(fmt::format("{} {}", paint_.yellow("warning:"), text)); }

void Console::error(std::string_view text) { line(fmt::format("headstart: {} {}", paint_.red("error:"), text)); }

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  write(fmt::format("{}{}\n", erase(), text));
  drawn_.clear();
  draw();
}

void Console::set_live(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!terminal_ || (text.empty() && live_.empty())) return;
  live_ = text;
  draw();
}

void Console::set_figure(Figure figure) {
  const std::lock_guard lock(mutex_);
  if (!terminal_) return;
  figure_ = std::move(figure);
  draw();
}

void Console::keep_figure() {
  const std::lock_guard lock(mutex_);
  if (!terminal_) return;
  if (!live_.empty()) write("\r\x1b[2K");  // the last line of what is drawn; the figure's lines stay above it
  figure_ = nullptr;
  live_.clear();
  drawn_.clear();
}

// Takes away what is drawn, and leaves the cursor where it began.
std::string Console::erase() const {
  if (drawn_.empty()) return "";
  const int rows = text_rows(drawn_, columns());
  return rows == 1 ? "\r\x1b[2K" : fmt::format("\r\x1b[{}A\x1b[J", rows - 1);
}

std::string Console::figure_text() const { return figure_ ? figure_(columns(), terminal_rows(STDERR_FILENO)) : ""; }

// Each row is overwritten and only its rest is erased, all in one write: nothing flickers.
void Console::draw() {
  const std::string now = figure_text() + live_;
  const bool one_row = now.find('\n') == std::string::npos && drawn_.find('\n') == std::string::npos;
  if (one_row) {
    if (!now.empty() || !drawn_.empty()) write(fmt::format("\r\x1b[2K{}", now));
  } else {
    const int rows = text_rows(drawn_, columns());
    std::string out = rows > 1 ? fmt::format("\r\x1b[{}A", rows - 1) : "\r";
    for (const char c : now) {
      if (c == '\n') out += "\x1b[K";
      out += c;
    }
    write(out + "\x1b[J");
  }
  drawn_ = now;
}

void Console::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace headstart::cli
