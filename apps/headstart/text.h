// Text of the command line: counted nouns, JSON that survives any file name, words for a shell, suggestions.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "headstart/dataset.h"
#include "headstart/text.h"

namespace headstart::cli {

// "1 photo", "2,000 photos"; "classes" for "class".
std::string count_text(std::int64_t count, std::string_view noun);
// One line of JSON (indent < 0) or an indented document. Bytes that are no UTF-8 become U+FFFD: file names may hold any bytes, JSON may
// not.
std::string json_text(const nlohmann::ordered_json& value, int indent = -1);
// `text` in single quotes where a shell would otherwise take it apart.
std::string shell_quoted(std::string_view text);
// Control characters (a file name may hold escape sequences) as \xNN, so that a name cannot steer the terminal.
std::string printable(std::string_view text);
// The same for a message of several lines, whose line ends stay.
std::string printable_lines(std::string_view text);

// "path: reason"; a finding about the whole folder (path "" or ".") is its reason alone.
std::string problem_text(const Problem& problem);

// " (did you mean X?)", or "" when nothing is near.
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace headstart::cli
