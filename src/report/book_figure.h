// What the drawings of the book's figure (headstart/curves.h) share: the axes, the three series cut to the frame, and the places on paper.
//
// Thread-safety: pure functions. Errors: kUsage for fewer than one epoch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "headstart/curves.h"
#include "report/svg_chart.h"

namespace headstart {

using Colour = std::array<std::uint8_t, 3>;  // R, G, B

struct FigureSeries {
  std::string name;
  Colour colour{};
  std::vector<double> dashes;                      // lengths on and off in turn, in units of the paper; empty: solid
  std::vector<std::vector<ChartPoint>> stretches;  // unbroken lines inside the frame, in data units; one point alone is a dot
};

struct Figure {
  double x_low = 0, x_high = 1;  // y goes from 0 to 1
  std::vector<double> x_ticks, y_ticks;
  std::array<FigureSeries, 3> series;  // train loss, train accuracy, test accuracy
};

Figure book_figure(const Curves& curves);

// The stretches of a line that lie inside the frame.
std::vector<std::vector<ChartPoint>> cut_to_frame(std::span<const ChartPoint> line, double x_low, double x_high);

// The paper: places in units, y downwards. SVG takes them as they are, the pixels scaled.
struct FigureLayout {
  static constexpr double kWidth = 420, kHeight = 300;
  static constexpr double kLeft = 38, kRight = 408, kTop = 10, kBottom = 258;  // the frame
  static constexpr double kLineWidth = 1.7;
  static constexpr double kLegendRow = 16, kLegendPadding = 7, kLegendSample = 26;
  double legend_left = 0, legend_top = 0, legend_width = 0, legend_height = 0;

  static ChartPoint place(const Figure& figure, const ChartPoint& p) {
    return {kLeft + (p.x - figure.x_low) / (figure.x_high - figure.x_low) * (kRight - kLeft), kBottom - p.y * (kBottom - kTop)};
  }
};

// With the legend where it hides least of the lines.
FigureLayout figure_layout(const Figure& figure);

}  // namespace headstart
