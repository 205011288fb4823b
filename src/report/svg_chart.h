// Line charts as inline SVG: axes with round ticks, a legend, a title and a description for screen readers.
//
// Colours come from the page by the classes series-1 … series-6, axis, grid and mark, so that one chart is right in light and dark; a
// chart for use outside a page carries its own with `standalone`.
// Thread-safety: pure functions. Points that are not finite are left out and break their line.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace headstart {

struct ChartPoint {
  double x = 0;
  double y = 0;
};

struct ChartSeries {
  std::string name;
  std::vector<ChartPoint> points;  // by ascending x
  bool only_dots = false;
};

struct ChartMark {
  double x = 0;
  std::string label;
};

enum class ChartScale {
  kNumbers,  // ticks as plain numbers, from zero when that wastes little room
  kShares,   // values in [0, 1], ticks in percent
};

struct LineChart {
  std::string title;
  std::string x_label;
  std::string description;  // what a screen reader says of the picture
  ChartScale y_scale = ChartScale::kNumbers;
  std::vector<ChartSeries> series;
  std::optional<ChartMark> mark;          // a vertical line with a label
  std::vector<double> crosses = {};       // on the x axis: values of x that have no y
  bool whole_x = true;                    // x ticks at whole numbers only
  bool log_x = false;                     // logarithmic; every x is positive
  std::vector<std::string> x_names = {};  // x is an index into them, and the ticks are the names
  bool standalone = false;                // with xmlns and own colours: a file of its own
  int width = 480;
  int height = 300;
};

std::string line_chart_svg(const LineChart& chart);

// Ticks at multiples of 1, 2 or 5 times a power of ten: at most `most`, the first at or below `low`, the last at or above `high`.
// Requires low < high, both finite, and most >= 2.
std::vector<double> nice_ticks(double low, double high, int most, bool whole = false);

// As a tick's label: as many decimals as tell it from its neighbours `step` away.
std::string tick_label(double value, double step, ChartScale scale);

}  // namespace headstart
