// What a person sees: the lines on a terminal after a program has written to it, with the few codes that headstart uses.
#pragma once

#include <string>
#include <vector>

namespace headstart::test {

// Line feed, carriage return, cursor up (A), erase to the end of the line (K), the line (2K) or the screen (J); colours (m) are dropped.
// Lines that scrolled away are kept, a character is a code point. Throws std::runtime_error for any other code, and where a line is
// longer than `columns`.
std::vector<std::string> screen_of(const std::string& written, std::size_t columns);

}  // namespace headstart::test
