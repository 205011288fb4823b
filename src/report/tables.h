// Tables of a few rows, for a terminal and for a page: the first row is the header, the first column is left-aligned, the rest right.
//
// Thread-safety: pure functions. Every row has as many cells as the header.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "headstart/compare.h"

namespace headstart {

using TextTable = std::vector<std::vector<std::string>>;

// A line a row, columns two spaces apart; a character counts one column.
std::string text_table(const TextTable& table);

// "0.932 ± 0.004"; the spread only where there are several seeds.
std::string spread_text(const Spread& spread, std::size_t seeds, int decimals = 3);

// Cells are escaped. `best`: the row (the header is 0) that is highlighted.
std::string html_table(const TextTable& table, std::optional<std::size_t> best = std::nullopt);

}  // namespace headstart
