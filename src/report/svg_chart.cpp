#include "report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "report/html_text.h"

namespace headstart {
namespace {

constexpr double kLeft = 46;  // room for y tick labels
constexpr double kRight = 14;
constexpr double kTop = 34;            // room for the legend
constexpr double kBottom = 40;         // room for x tick labels and the axis title
constexpr std::size_t kMostDots = 30;  // points further apart than this many a line are drawn as dots too

struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks;
  double from = 0, to = 1;  // in the picture
  double place(double value) const { return from + (value - low) / (high - low) * (to - from); }
  double step() const { return ticks.size() > 1 ? ticks[1] - ticks[0] : 1; }
};

// Values near the end of double's range would overflow the axes' arithmetic; no chart needs them.
constexpr double kLargest = 1e100;
bool is_drawable(const ChartPoint& p) { return std::abs(p.x) <= kLargest && std::abs(p.y) <= kLargest; }

struct Bounds {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // At least `span` wide: there is something to draw an axis over without points or with one, and noise does not look like a change.
  void widen(double span) {
    if (low > high) low = high = 0;
    span = std::max(span, std::abs(low) * 0.02);
    if (high - low >= span) return;
    const double middle = (low + high) / 2;
    low = middle - span / 2;
    high = middle + span / 2;
  }
};

// 1, 2 and 5 times the powers of ten; where there are more than fit, the powers alone, every second one, and so on.
std::vector<double> log_ticks(double low, double high, std::size_t most) {
  const int first = static_cast<int>(std::floor(low)), last = static_cast<int>(std::ceil(high));
  std::vector<double> ticks;
  const auto add = [&](double exponent) {
    if (exponent >= low - 1e-9 && exponent <= high + 1e-9) ticks.push_back(exponent);
  };
  for (int power = first; power <= last; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) add(power + std::log10(factor));
  }
  for (int step = 1; ticks.size() > most; ++step) {
    ticks.clear();
    for (int power = first; power <= last; power += step) add(power);
  }
  return ticks;
}

Axis x_axis(const LineChart& chart) {
  constexpr int kMostTicks = 9;
  Bounds bounds;
  for (const double x : chart.crosses) bounds.add(x);
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& p : series.points) {
      if (is_drawable(p)) bounds.add(p.x);
    }
  }
  bounds.widen(1);
  Axis axis{.low = bounds.low, .high = bounds.high, .ticks = {}, .from = kLeft + 8, .to = chart.width - kRight - 8};
  if (chart.log_x) {
    axis.ticks = log_ticks(axis.low, axis.high, kMostTicks);
    return axis;
  }
  for (const double tick : nice_ticks(axis.low, axis.high, chart.x_names.empty() ? kMostTicks : 100, chart.whole_x)) {
    if (tick >= axis.low && tick <= axis.high) axis.ticks.push_back(tick);
  }
  return axis;
}

Axis y_axis(const LineChart& chart) {
  Bounds bounds;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& p : series.points) {
      if (is_drawable(p)) bounds.add(p.y);
    }
  }
  bounds.widen(0.1);
  // Zero belongs into the picture when the values come near it.
  if (chart.y_scale == ChartScale::kNumbers && bounds.low > 0 && bounds.low < 0.5 * bounds.high) bounds.low = 0;
  if (chart.y_scale == ChartScale::kShares && bounds.high > 1 && bounds.low < 1) {  // widened past what a share can be
    bounds.low = std::max(0.0, bounds.low - (bounds.high - 1));
    bounds.high = 1;
  }
  if (chart.y_scale == ChartScale::kShares && bounds.low < 0 && bounds.high > 0) bounds.low = 0;
  Axis axis{.low = 0, .high = 1, .ticks = nice_ticks(bounds.low, bounds.high, 6), .from = chart.height - kBottom, .to = kTop};
  axis.low = axis.ticks.front();
  axis.high = axis.ticks.back();
  return axis;
}

std::string x_label(const LineChart& chart, const Axis& x, double tick) {
  if (chart.log_x) return fmt::format("{:.6g}", std::pow(10.0, tick));
  if (chart.x_names.empty()) return tick_label(tick, x.step(), ChartScale::kNumbers);
  const auto index = static_cast<std::size_t>(std::max(tick, 0.0));
  return index < chart.x_names.size() ? html_text(chart.x_names[index]) : "";
}

std::string grid_svg(const LineChart& chart, const Axis& x, const Axis& y) {
  std::string out;
  for (const double tick : y.ticks) {
    const double at = y.place(tick);
    out +=
        fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, chart.width - kRight, at, at);
    out += fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 7, at + 4,
                       tick_label(tick, y.step(), chart.y_scale));
  }
  for (const double tick : x.ticks) {
    out += fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", x.place(tick),
                       chart.height - kBottom + 18, x_label(chart, x, tick));
  }
  out += fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", (x.from + x.to) / 2,
                     chart.height - 4.0, html_text(chart.x_label));
  return out;
}

// A polyline for every unbroken stretch, and dots where there are few points.
std::string series_svg(const ChartSeries& series, std::size_t index, const Axis& x, const Axis& y) {
  std::string lines, dots, stretch;
  const auto end_stretch = [&] {
    if (!stretch.empty()) lines += fmt::format("<polyline class=\"line\" points=\"{}\"/>", stretch);
    stretch.clear();
  };
  for (const ChartPoint& p : series.points) {
    if (!is_drawable(p)) {
      end_stretch();
      continue;
    }
    if (!series.only_dots) stretch += fmt::format("{}{:.1f},{:.1f}", stretch.empty() ? "" : " ", x.place(p.x), y.place(p.y));
    if (series.only_dots || series.points.size() <= kMostDots) {
      dots += fmt::format("<circle class=\"dot\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\"/>", x.place(p.x), y.place(p.y));
    }
  }
  end_stretch();
  return fmt::format("<g class=\"series-{}\">{}{}</g>", index % 6 + 1, lines, dots);
}

std::string legend_svg(const LineChart& chart) {
  std::string out;
  double at = kLeft;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const std::string sample = chart.series[i].only_dots
                                   ? fmt::format("<circle class=\"dot\" cx=\"{:.1f}\" cy=\"14\" r=\"2.6\"/>", at + 9)
                                   : fmt::format("<line class=\"line\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"14\" y2=\"14\"/>", at, at + 18);
    out += fmt::format("<g class=\"series-{}\">{}</g>", i % 6 + 1, sample);
    out += fmt::format("<text class=\"legend\" x=\"{:.1f}\" y=\"18\">{}</text>", at + 24, html_text(chart.series[i].name));
    at += 44 + 7.0 * static_cast<double>(chart.series[i].name.size());  // 7: a generous mean width of a letter
  }
  return out;
}

std::string crosses_svg(const LineChart& chart, const Axis& x) {
  std::string out;
  const double middle = chart.height - kBottom - 7;
  for (const double cross : chart.crosses) {
    const double at = x.place(cross);
    out += fmt::format("<path class=\"cross\" d=\"M{0:.1f},{2:.1f}L{1:.1f},{3:.1f}M{0:.1f},{3:.1f}L{1:.1f},{2:.1f}\"/>", at - 4, at + 4,
                       middle - 4, middle + 4);
  }
  return out;
}

// The chart with every x as its logarithm: what is drawn evenly.
LineChart in_logarithms(LineChart chart) {
  const auto to_log = [](double& value) { value = std::log10(value); };
  for (ChartSeries& series : chart.series) {
    for (ChartPoint& point : series.points) to_log(point.x);
  }
  for (double& cross : chart.crosses) to_log(cross);
  if (chart.mark) to_log(chart.mark->x);
  return chart;
}

// Whether the lines pass the mark in the upper half of the picture.
bool lines_are_high(const LineChart& chart, const Axis& y) {
  double sum = 0;
  int count = 0;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& p : series.points) {
      if (!is_drawable(p) || p.x != chart.mark->x) continue;
      sum += (p.y - y.low) / (y.high - y.low);
      ++count;
    }
  }
  return count > 0 && sum / count > 0.5;
}

std::string mark_svg(const LineChart& chart, const Axis& x, const Axis& y) {
  if (!chart.mark || !(std::abs(chart.mark->x) <= kLargest)) return {};
  const double at = x.place(chart.mark->x);
  const bool on_the_right = at > (x.from + x.to) / 2;  // the label goes where there is room
  const double height = lines_are_high(chart, y) ? chart.height - kBottom - 8 : kTop + 14;
  return fmt::format(
      "<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
      "<text class=\"mark-label\" x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"{5}\">{6}</text>",
      at, kTop, chart.height - kBottom, on_the_right ? at - 6 : at + 6, height, on_the_right ? "end" : "start",
      html_text(chart.mark->label));
}

// What the report's style sheet says of the classes above, for light paper.
constexpr const char* kStandaloneStyle =
    "<style>text{font:12px system-ui,sans-serif;fill:#57606a}.legend{fill:#1f2328}.grid{stroke:#e1e4e8}.line{fill:none;stroke-width:2;"
    "stroke-linejoin:round}.cross{stroke:#c8620a;stroke-width:2}.mark{stroke:#8c959f;stroke-dasharray:3 3}.series-1 "
    ".line{stroke:#2563eb}.series-1 .dot{fill:#2563eb}"
    ".series-2 .line{stroke:#d9730d}.series-2 .dot{fill:#d9730d}.series-3 .line{stroke:#0f8a5f}.series-3 .dot{fill:#0f8a5f}"
    ".series-4 .line{stroke:#9333ea}.series-4 .dot{fill:#9333ea}.series-5 .line{stroke:#be185d}.series-5 .dot{fill:#be185d}"
    ".series-6 .line{stroke:#57606a}.series-6 .dot{fill:#57606a}</style>";

}  // namespace

std::vector<double> nice_ticks(double low, double high, int most, bool whole) {
  const double rough = (high - low) / (most - 1);
  double power = std::pow(10.0, std::floor(std::log10(rough)));
  if (whole) power = std::max(power, 1.0);
  for (int tries = 0; true; ++tries) {  // at most two powers: 10 times the smallest step always fits
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double step = factor * power;
      const double first = std::floor(low / step + 1e-9);
      const double last = std::ceil(high / step - 1e-9);
      if (last - first + 1 > most && tries < 4) continue;
      std::vector<double> ticks;
      // Counted by an integer: adding one to a double above 2^53 would stand still.
      const int count = static_cast<int>(std::min(last - first, 1000.0));
      for (int i = 0; i <= count; ++i) ticks.push_back((first + i) * step + 0.0);  // + 0.0: no negative zero
      return ticks;
    }
    power *= 10;
  }
}

std::string tick_label(double value, double step, ChartScale scale) {
  if (scale == ChartScale::kShares) {
    value *= 100;
    step *= 100;
  }
  const int decimals = std::clamp(static_cast<int>(-std::floor(std::log10(step) + 1e-9)), 0, 6);
  return fmt::format("{:.{}f}{}", value, decimals, scale == ChartScale::kShares ? "%" : "");
}

std::string line_chart_svg(const LineChart& asked) {
  const LineChart chart = asked.log_x ? in_logarithms(asked) : asked;
  const Axis x = x_axis(chart);
  const Axis y = y_axis(chart);
  std::string out =
      fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"{}>", chart.width, chart.height,
                  html_text(chart.title + ": " + chart.description), chart.standalone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "");
  out += fmt::format("<title>{}</title><desc>{}</desc>", html_text(chart.title), html_text(chart.description));
  if (chart.standalone) out += kStandaloneStyle;
  out += grid_svg(chart, x, y) + legend_svg(chart) + mark_svg(chart, x, y) + crosses_svg(chart, x);
  for (std::size_t i = 0; i < chart.series.size(); ++i) out += series_svg(chart.series[i], i, x, y);
  return out + "</svg>";
}

}  // namespace headstart
