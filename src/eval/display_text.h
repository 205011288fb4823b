// Text for a terminal: how many columns a name takes, and names cut or padded to a width.
//
// File and class names are hostile input: bytes that are no UTF-8 and control characters (escape sequences would reach the terminal) become
// U+FFFD. Thread-safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace headstart {

// Valid UTF-8 on one line without control characters or bidirectional overrides.
std::string printable(std::string_view text);

// Columns on a terminal: 2 for East Asian wide characters and emoji, 0 for combining marks. `text` must be valid UTF-8.
int display_width(std::string_view text);

// The longest beginning that fits, with "…" in the last column when something was cut. `columns` is at least 1.
std::string cut_to_width(std::string_view text, int columns);

enum class Align { kLeft, kRight };
// Cut, then padded with blanks to exactly `columns`.
std::string fit_to_width(std::string_view text, int columns, Align align);

}  // namespace headstart
