#include "report/tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/html_text.h"

namespace headstart {
namespace {

// Code points of UTF-8.
std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

std::string text_table(const TextTable& table) {
  std::vector<std::size_t> widths(table.front().size());
  for (const auto& row : table) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string text;
  for (const auto& row : table) {
    std::string line = row[0] + std::string(widths[0] - columns(row[0]), ' ');
    for (std::size_t i = 1; i < row.size(); ++i) line += "  " + std::string(widths[i] - columns(row[i]), ' ') + row[i];
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string spread_text(const Spread& spread, std::size_t seeds, int decimals) {
  if (seeds < 2) return fmt::format("{:.{}f}", spread.mean, decimals);
  return fmt::format("{:.{}f} ± {:.{}f}", spread.mean, decimals, spread.deviation, decimals);
}

std::string html_table(const TextTable& table, std::optional<std::size_t> best) {
  std::string out = "<div class=\"scroll\"><table><thead>";
  for (std::size_t i = 0; i < table.size(); ++i) {
    out += best == i ? "<tr class=\"best\">" : "<tr>";
    for (std::size_t c = 0; c < table[i].size(); ++c) {
      const char* const tag = i == 0 || c == 0 ? "th" : "td";
      out += fmt::format("<{0}>{1}</{0}>", tag, html_text(table[i][c]));
    }
    out += i == 0 ? "</tr></thead><tbody>" : "</tr>";
  }
  return out + "</tbody></table></div>";
}

}  // namespace headstart
