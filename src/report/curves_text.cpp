// The book's figure as text: braille dots, eight a character, or ASCII.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>

#include "headstart/curves.h"
#include "headstart/error.h"
#include "headstart/text.h"
#include "report/book_figure.h"

namespace headstart {
namespace {

constexpr int kFewestColumns = 20, kFewestRows = 6, kMost = 4096;
constexpr int kMargin = 4;     // "1.0" and the axis
constexpr int kOtherRows = 3;  // legend, axis, its numbers
constexpr int kSeries = 3;
constexpr std::array<int, kSeries> kAnsiColours = {34, 35, 32};

struct SeriesMarks {
  std::string_view dots;    // dots of a line that are drawn, repeated
  std::string_view sample;  // in the legend
  std::string_view ascii;   // the mark of a line in ASCII
};
constexpr std::array<SeriesMarks, kSeries> kMarks = {{{"1", "──", "*"}, {"111100", "╌╌", "+"}, {"1111001001", "─·", "o"}}};

// Characters of a text: code points of valid UTF-8.
int characters(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string ascii_only(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out;
}

std::string braille(std::uint8_t dots) {
  const unsigned code = 0x2800U + dots;
  return {static_cast<char>(0xE0U | code >> 12U), static_cast<char>(0x80U | (code >> 6U & 0x3FU)),
          static_cast<char>(0x80U | (code & 0x3FU))};
}

// The characters of the plot: dots within each and the series that owns it, the last one drawn.
class DotPlot {
 public:
  DotPlot(int columns, int rows, bool utf8)
      : columns_(columns),
        rows_(rows),
        across_(utf8 ? 2 : 1),
        down_(utf8 ? 4 : 1),
        cells_(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows)) {}

  struct Cell {
    std::uint8_t dots = 0;
    int series = -1;
  };
  const Cell& at(int row, int column) const {
    return cells_[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns_) + static_cast<std::size_t>(column)];
  }

  void draw(const Figure& figure, int series) {
    const std::string_view pattern = across_ == 1 ? "1" : kMarks[static_cast<std::size_t>(series)].dots;
    for (const auto& stretch : figure.series[static_cast<std::size_t>(series)].stretches) {
      std::size_t step = 0;
      std::optional<Dot> last;
      for (const ChartPoint& p : stretch) {
        const Dot next = place(figure, p);
        line(last.value_or(next), next, last.has_value(), [&](const Dot& dot) {
          if (pattern[step++ % pattern.size()] == '1') set(dot, series);
        });
        last = next;
      }
    }
  }

 private:
  struct Dot {
    int x = 0, y = 0;
  };

  Dot place(const Figure& figure, const ChartPoint& p) const {
    const double x = (p.x - figure.x_low) / (figure.x_high - figure.x_low);
    return {static_cast<int>(std::lround(x * (columns_ * across_ - 1))), static_cast<int>(std::lround((1 - p.y) * (rows_ * down_ - 1)))};
  }

  // Every dot from one to the other; without the first when a line goes on there.
  template <typename Visit>
  static void line(const Dot& from, const Dot& to, bool skip_first, const Visit& visit) {
    const int steps = std::max(std::abs(to.x - from.x), std::abs(to.y - from.y));
    for (int i = skip_first ? 1 : 0; i <= steps; ++i) {
      const double t = steps == 0 ? 0 : static_cast<double>(i) / steps;
      visit({static_cast<int>(std::lround(from.x + t * (to.x - from.x))), static_cast<int>(std::lround(from.y + t * (to.y - from.y)))});
    }
  }

  void set(const Dot& dot, int series) {
    // Unicode numbers the first three rows of a braille character by column, the fourth after them.
    constexpr std::uint8_t kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    Cell& cell =
        cells_[static_cast<std::size_t>(dot.y / down_) * static_cast<std::size_t>(columns_) + static_cast<std::size_t>(dot.x / across_)];
    cell.dots = static_cast<std::uint8_t>(cell.dots | kBits[dot.y % down_][dot.x % across_]);
    cell.series = series;
  }

  int columns_, rows_, across_, down_;
  std::vector<Cell> cells_;
};

class TextFigure {
 public:
  TextFigure(const Figure& figure, const CurvesTextOptions& options)
      : figure_(figure),
        options_(options),
        columns_(options.columns - kMargin),
        rows_(options.rows - kOtherRows),
        plot_(columns_, rows_, options.utf8) {
    for (int i = 0; i < kSeries; ++i) plot_.draw(figure, i);
  }

  std::string text() const {
    std::string out = legend();
    for (int row = 0; row < rows_; ++row) out += y_label(row) + plot_row(row);
    return out + axis() + x_labels();
  }

 private:
  std::string_view pick(std::string_view utf8, std::string_view ascii) const { return options_.utf8 ? utf8 : ascii; }

  std::string painted(std::string_view text, int series) const {
    if (!options_.colour || series < 0) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", kAnsiColours[static_cast<std::size_t>(series)], text);
  }

  // As many entries as fit.
  std::string legend() const {
    std::string out(kMargin, ' ');
    int used = kMargin;
    for (int i = 0; i < kSeries; ++i) {
      const SeriesMarks& marks = kMarks[static_cast<std::size_t>(i)];
      const std::string& name = figure_.series[static_cast<std::size_t>(i)].name;
      const std::string entry = fmt::format("{} {}", pick(marks.sample, marks.ascii), options_.utf8 ? valid_utf8(name) : ascii_only(name));
      const int gap = i == 0 ? 0 : 2;
      used += gap + characters(entry);
      if (used > options_.columns) break;
      out += std::string(static_cast<std::size_t>(gap), ' ') + painted(entry, i);
    }
    return out + "\n";
  }

  std::string y_label(int row) const {
    const int parts = rows_ >= 11 ? 5 : rows_ >= 5 ? 2 : 1;  // ticks at 0, 1 / parts, …, 1
    for (int i = 0; i <= parts; ++i) {
      const double value = 1 - static_cast<double>(i) / parts;
      if (std::lround((1 - value) * (rows_ - 1)) == row) return fmt::format("{:.1f}{}", value, pick("┤", "|"));
    }
    return fmt::format("   {}", pick("│", "|"));
  }

  std::string plot_row(int row) const {
    std::string out;
    int end = columns_;
    while (end > 0 && plot_.at(row, end - 1).series < 0) --end;
    for (int column = 0; column < end;) {
      const int series = plot_.at(row, column).series;
      std::string run;
      for (; column < end && plot_.at(row, column).series == series; ++column) {
        if (series < 0) {
          run += ' ';
        } else if (options_.utf8) {
          run += braille(plot_.at(row, column).dots);
        } else {
          run += kMarks[static_cast<std::size_t>(series)].ascii;
        }
      }
      out += painted(run, series);
    }
    return out + "\n";
  }

  int tick_column(double tick) const {
    return static_cast<int>(std::lround((tick - figure_.x_low) / (figure_.x_high - figure_.x_low) * (columns_ - 1)));
  }

  std::string axis() const {
    std::string out = fmt::format("   {}", pick("└", "+"));
    for (int column = 0; column < columns_; ++column) {
      const bool is_tick =
          std::any_of(figure_.x_ticks.begin(), figure_.x_ticks.end(), [&](double tick) { return tick_column(tick) == column; });
      out += is_tick ? pick("┴", "+") : pick("─", "-");
    }
    return out + "\n";
  }

  // Those that have a blank before them.
  std::string x_labels() const {
    std::string out(kMargin, ' ');
    for (const double tick : figure_.x_ticks) {
      const std::string label = fmt::format("{:.0f}", tick);
      const auto length = static_cast<int>(label.size());
      const int start = std::min(kMargin + tick_column(tick) - (length - 1) / 2, options_.columns - length);
      const auto used = static_cast<int>(out.size());
      if (start < used + (used > kMargin ? 1 : 0)) continue;
      out += std::string(static_cast<std::size_t>(start - used), ' ') + label;
    }
    return out + "\n";
  }

  const Figure& figure_;
  const CurvesTextOptions& options_;
  int columns_, rows_;
  DotPlot plot_;
};

}  // namespace

std::string curves_text(const Curves& curves, const CurvesTextOptions& options) {
  if (options.columns > kMost || options.rows > kMost) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("the figure's columns and rows must be at most {}, not {} and {}", kMost, options.columns, options.rows));
  }
  const Figure figure = book_figure(curves);
  if (options.columns < kFewestColumns || options.rows < kFewestRows) return {};
  return TextFigure(figure, options).text();
}

}  // namespace headstart
