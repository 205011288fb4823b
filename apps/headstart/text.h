// Text for people and for machines: durations, sizes, JSON and CSV that survive any file name, and the nearest known name.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "headstart/dataset.h"

namespace headstart::cli {

// "7 s", "3m 05s", "2h 04m".
std::string duration_text(double seconds);
// "17.0 MB": powers of 1000.
std::string bytes_text(std::int64_t bytes);
// "93.1%".
std::string percent_text(double share, int decimals = 1);
// "1 photo", "2,000 photos"; "classes" for "class".
std::string count_text(std::int64_t count, std::string_view noun);
// "1,234,567".
std::string grouped(std::int64_t number);

// RFC 4180: quoted when it needs to be. Bytes are kept as they are.
std::string csv_field(std::string_view text);
// One line of JSON (indent < 0) or an indented document. Bytes that are no UTF-8 become U+FFFD: file names may hold any bytes, JSON may
// not.
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);
// `text` in single quotes where a shell would otherwise take it apart.
std::string shell_quoted(std::string_view text);
// Control characters (a file name may hold escape sequences) as \xNN, so that a name cannot steer the terminal.
std::string printable(std::string_view text);

// "path: reason"; a finding about the whole folder (path "" or ".") is its reason alone.
std::string problem_text(const Problem& problem);

// The known name nearest to `name` by edit distance (adjacent swaps count once), when near enough to be a typing error; else "".
std::string nearest(std::string_view name, const std::vector<std::string>& known);
// " (did you mean X?)", or "" when nothing is near.
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace headstart::cli
