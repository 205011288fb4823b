#include "report/book_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "headstart/error.h"
#include "report/html_text.h"

namespace headstart {
namespace {

constexpr double kLargest = 1e100;  // values beyond would overflow the arithmetic; no figure needs them
constexpr double kLetterWidth = 6.6;
constexpr int kSamples = 16;  // of a segment, when looking for the legend's place

bool is_drawable(const ChartPoint& p) { return std::abs(p.x) <= kLargest && std::abs(p.y) <= kLargest; }

struct Segment {
  ChartPoint from, to;
};

// Liang and Barsky: narrows [first, last] of the segment's parameter to where low <= start + t * change <= high.
bool clip_axis(double start, double change, double low, double high, double& first, double& last) {
  if (change == 0) return start >= low && start <= high;
  double enter = (low - start) / change, leave = (high - start) / change;
  if (enter > leave) std::swap(enter, leave);
  first = std::max(first, enter);
  last = std::min(last, leave);
  return first <= last;
}

// The part of a segment inside the frame; false when there is none.
bool clip(Segment& segment, double x_low, double x_high) {
  const double dx = segment.to.x - segment.from.x, dy = segment.to.y - segment.from.y;
  double first = 0, last = 1;
  if (!clip_axis(segment.from.x, dx, x_low, x_high, first, last) || !clip_axis(segment.from.y, dy, 0, 1, first, last)) return false;
  const auto at = [&, start = segment.from](double t) {
    return ChartPoint{std::clamp(start.x + t * dx, x_low, x_high), std::clamp(start.y + t * dy, 0.0, 1.0)};
  };
  if (last < 1) segment.to = at(last);
  if (first > 0) segment.from = at(first);
  return true;
}

FigureSeries make_series(std::string name, Colour colour, std::vector<double> dashes) {
  return {.name = std::move(name), .colour = colour, .dashes = std::move(dashes), .stretches = {}};
}

std::string hex(const Colour& colour) { return fmt::format("#{:02x}{:02x}{:02x}", colour[0], colour[1], colour[2]); }

// How much of the lines lies below a legend at this place.
int hidden_by(const Figure& figure, const FigureLayout& layout) {
  constexpr double kMargin = 3;
  int hidden = 0;
  for (const FigureSeries& series : figure.series) {
    for (const auto& stretch : series.stretches) {
      for (std::size_t i = 0; i < stretch.size(); ++i) {
        const ChartPoint from = FigureLayout::place(figure, stretch[i]);
        const ChartPoint to = FigureLayout::place(figure, stretch[std::min(i + 1, stretch.size() - 1)]);
        for (int k = 0; k < kSamples; ++k) {
          const double t = static_cast<double>(k) / kSamples;
          const double x = from.x + t * (to.x - from.x) - layout.legend_left, y = from.y + t * (to.y - from.y) - layout.legend_top;
          const bool inside = x > -kMargin && x < layout.legend_width + kMargin && y > -kMargin && y < layout.legend_height + kMargin;
          hidden += inside ? 1 : 0;
        }
      }
    }
  }
  return hidden;
}

std::string axes_svg(const Figure& figure) {
  using L = FigureLayout;
  std::string out;
  for (const double tick : figure.x_ticks) {
    const double x = L::place(figure, {tick, 0}).x;
    out += fmt::format("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>", x, L::kTop, L::kBottom);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.0f}</text>", x, L::kBottom + 16, tick);
  }
  for (const double tick : figure.y_ticks) {
    const double y = L::place(figure, {figure.x_low, tick}).y;
    out += fmt::format("<line class=\"grid\" x1=\"{1}\" x2=\"{2}\" y1=\"{0:.1f}\" y2=\"{0:.1f}\"/>", y, L::kLeft, L::kRight);
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.1f}</text>", L::kLeft - 6, y + 4, tick);
  }
  out += fmt::format("<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>", L::kLeft, L::kTop, L::kRight - L::kLeft,
                     L::kBottom - L::kTop);
  out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">epoch</text>", (L::kLeft + L::kRight) / 2, L::kHeight - 8);
  return out;
}

std::string line_style(const FigureSeries& series) {
  std::string dashes;
  for (const double length : series.dashes) dashes += fmt::format("{}{}", dashes.empty() ? "" : " ", length);
  return fmt::format("class=\"line\" stroke=\"{}\"{}", hex(series.colour),
                     dashes.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dashes));
}

std::string series_svg(const Figure& figure, const FigureSeries& series) {
  std::string out;
  for (const auto& stretch : series.stretches) {
    std::string points;
    for (const ChartPoint& p : stretch) {
      const ChartPoint at = FigureLayout::place(figure, p);
      points += fmt::format("{}{:.2f},{:.2f}", points.empty() ? "" : " ", at.x, at.y);
    }
    if (stretch.size() == 1) points += " " + points;  // no length: its round ends make a dot
    out += fmt::format("<polyline {} points=\"{}\"/>", line_style(series), points);
  }
  return out;
}

std::string legend_svg(const Figure& figure, const FigureLayout& layout) {
  using L = FigureLayout;
  std::string out = fmt::format("<rect class=\"legend\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"3\"/>",
                                layout.legend_left, layout.legend_top, layout.legend_width, layout.legend_height);
  double y = layout.legend_top + L::kLegendPadding + L::kLegendRow / 2 - 1;
  for (const FigureSeries& series : figure.series) {
    const double x = layout.legend_left + L::kLegendPadding;
    out += fmt::format("<polyline {} points=\"{:.1f},{:.1f} {:.1f},{:.1f}\"/>", line_style(series), x, y, x + L::kLegendSample, y);
    out +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x + L::kLegendSample + L::kLegendPadding, y + 4, html_text(series.name));
    y += L::kLegendRow;
  }
  return out;
}

}  // namespace

std::vector<std::vector<ChartPoint>> cut_to_frame(std::span<const ChartPoint> line, double x_low, double x_high) {
  std::vector<std::vector<ChartPoint>> stretches;
  bool open = false;  // the last stretch ends at the last point, inside the frame
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!is_drawable(line[i])) {
      open = false;
      continue;
    }
    const bool inside = line[i].x >= x_low && line[i].x <= x_high && line[i].y >= 0 && line[i].y <= 1;
    if (i > 0 && is_drawable(line[i - 1])) {
      Segment segment{line[i - 1], line[i]};
      if (clip(segment, x_low, x_high)) {
        if (!open) stretches.push_back({segment.from});
        stretches.back().push_back(segment.to);
      }
    } else if (inside) {
      stretches.push_back({line[i]});
    }
    open = inside;
  }
  return stretches;
}

Figure book_figure(const Curves& curves) {
  if (curves.epochs < 1) throw Error(ErrorCategory::kUsage, fmt::format("the figure's epochs must be at least 1, not {}", curves.epochs));
  Figure figure{
      .x_low = curves.epochs > 1 ? 1.0 : 0.0, .x_high = static_cast<double>(curves.epochs), .x_ticks = {}, .y_ticks = {}, .series = {}};
  for (const double tick : nice_ticks(figure.x_low, figure.x_high, 9, true)) {
    if (tick >= figure.x_low && tick <= figure.x_high) figure.x_ticks.push_back(tick);
  }
  for (int i = 0; i <= 5; ++i) figure.y_ticks.push_back(i / 5.0);
  figure.series = {make_series("train loss", {37, 99, 235}, {}), make_series("train acc", {192, 38, 211}, {5, 4.5}),
                   make_series(curves.test_name + " acc", {21, 128, 61}, {7, 4, 0.01, 4})};
  std::vector<ChartPoint> loss, train, test;
  for (const Curves::TrainPoint& p : curves.train) {
    loss.push_back({p.x, p.train_loss});
    train.push_back({p.x, p.train_top1});
  }
  for (const Curves::TestPoint& p : curves.test) test.push_back({p.x, p.top1});
  figure.series[0].stretches = cut_to_frame(loss, figure.x_low, figure.x_high);
  figure.series[1].stretches = cut_to_frame(train, figure.x_low, figure.x_high);
  figure.series[2].stretches = cut_to_frame(test, figure.x_low, figure.x_high);
  return figure;
}

FigureLayout figure_layout(const Figure& figure) {
  using L = FigureLayout;
  constexpr double kGap = 8;  // to the frame
  std::size_t letters = 0;
  for (const FigureSeries& series : figure.series) letters = std::max(letters, series.name.size());
  L layout;
  layout.legend_width = std::min(3 * L::kLegendPadding + L::kLegendSample + kLetterWidth * static_cast<double>(letters), 200.0);
  layout.legend_height = 2 * L::kLegendPadding + 3 * L::kLegendRow - 2;
  const double right = L::kRight - kGap - layout.legend_width, left = L::kLeft + kGap, centre = (left + right) / 2;
  const double top = L::kTop + kGap, bottom = L::kBottom - kGap - layout.legend_height, middle = (top + bottom) / 2;
  L best = layout;
  int least = -1;
  for (const auto& [x, y] : {std::pair(right, middle),
                             {right, bottom},
                             {right, top},
                             {left, bottom},
                             {left, top},
                             {left, middle},
                             {centre, bottom},
                             {centre, top},
                             {centre, middle}}) {
    layout.legend_left = x;
    layout.legend_top = y;
    const int hidden = hidden_by(figure, layout);
    if (least >= 0 && hidden >= least) continue;
    least = hidden;
    best = layout;
  }
  return best;
}

std::string curves_svg(const Curves& curves) {
  const Figure figure = book_figure(curves);
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">"
      "<title>Loss and accuracy over the epochs</title>"
      "<style>text{{font:11px \"DejaVu Sans\",Verdana,sans-serif;fill:#24292f}}.grid{{stroke:#d0d7de;stroke-width:.8}}"
      ".frame{{fill:none;stroke:#24292f;stroke-width:.9}}.legend{{fill:#fff;fill-opacity:.85;stroke:#d0d7de}}"
      ".line{{fill:none;stroke-width:{2};stroke-linecap:round;stroke-linejoin:round}}</style>"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>",
      FigureLayout::kWidth, FigureLayout::kHeight, FigureLayout::kLineWidth);
  out += axes_svg(figure);
  for (const FigureSeries& series : figure.series) out += series_svg(figure, series);
  return out + legend_svg(figure, figure_layout(figure)) + "</svg>\n";
}

}  // namespace headstart
