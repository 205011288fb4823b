// Comma-separated values as RFC 4180 has them, read back: quoted fields may hold commas, quotes, line ends and any other bytes.
//
// Thread-safety: pure. Errors: Error(kModel) naming the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headstart {

// Rows of fields; lines end with LF or CRLF, a last line end makes no row.
std::vector<std::vector<std::string>> parse_csv(std::string_view text);

}  // namespace headstart
