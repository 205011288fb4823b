// The two streams of the program: results go to stdout (output.h), everything that is said to a person goes through the Console to stderr.
//
// Thread-safety: a Console may be used from any thread; it owns what is live at the bottom of a terminal: a figure of several lines and
// below it one line (a progress bar). Errors:
// writes to stderr are never an error: work must not end because nobody listens.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace headstart::cli {

// Escape sequences when enabled, the bare text when not.
class Paint {
 public:
  explicit Paint(bool enabled) : enabled_(enabled) {}
  bool enabled() const { return enabled_; }
  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }
  std::string red(std::string_view text) const { return wrap("31", text); }
  std::string green(std::string_view text) const { return wrap("32", text); }
  std::string yellow(std::string_view text) const { return wrap("33", text); }
  std::string cyan(std::string_view text) const { return wrap("36", text); }

 private:
  std::string wrap(const char* code, std::string_view text) const;
  bool enabled_;
};

// A terminal that understands cursor movement (TERM is set and not "dumb").
bool is_terminal(int descriptor);
// Columns of the terminal, 80 where there is none.
int terminal_columns(int descriptor);
// Its rows, 24 where there is none.
int terminal_rows(int descriptor);
// Colours for a stream: only on a terminal, never with NO_COLOR (no-color.org: present and not empty).
Paint paint_for(int descriptor);
// The locale's character set is UTF-8, so that bars may be drawn with block characters.
bool locale_is_utf8();

// The columns that a text without escape sequences takes, every code point counted as one.
int text_columns(std::string_view text);
// The rows that a text takes on a terminal of `columns`: lines end with a line feed, longer ones wrap, colours take no room.
int text_rows(std::string_view text, int columns);
// The first `columns` code points of a text.
std::string cut_to_columns(std::string_view text, int columns);

enum class Verbosity { kQuiet, kNormal, kVerbose };

class Console {
 public:
  Console();
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void set_verbosity(Verbosity verbosity) { verbosity_ = verbosity; }
  Verbosity verbosity() const { return verbosity_; }
  bool terminal() const { return terminal_; }
  int columns() const;
  const Paint& paint() const { return paint_; }

  // A line for the person; not said when quiet.
  void say(std::string_view line);
  // A line that is said also when quiet: warnings and errors.
  void warn(std::string_view text);
  void error(std::string_view text);
  void line(std::string_view line);

  // Replaces the live line (terminal only); empty takes it away.
  void set_live(std::string_view text);

  // A drawing for a terminal of this size: lines that each end in a line feed, or "" where there is no room.
  using Figure = std::function<std::string(int columns, int rows)>;
  // Replaces the figure above the live line (terminal only). It is drawn in place, and anew when the terminal's size has changed.
  void set_figure(Figure figure);
  // The figure stays on the screen, as text that was said; the live line goes.
  void keep_figure();

 private:
  void draw();
  std::string erase() const;
  std::string figure_text() const;
  void write(std::string_view text);
  std::mutex mutex_;
  bool terminal_;
  Paint paint_;
  Verbosity verbosity_ = Verbosity::kNormal;
  std::string live_;
  Figure figure_;
  std::string drawn_;  // the figure and the live line as they are on the screen
};

}  // namespace headstart::cli
