// The book's figure in pixels: the same places as the SVG, scaled.
#include <fmt/format.h>

#include "headstart/curves.h"
#include "headstart/error.h"
#include "report/book_figure.h"
#include "report/raster.h"

namespace headstart {
namespace {

constexpr Colour kPaper = {255, 255, 255}, kGrid = {208, 215, 222}, kInk = {36, 41, 47};
constexpr double kTextHeight = 8;  // of digits, in units of the paper
constexpr double kTextWidth = 1.05;

class FigurePainter {
 public:
  FigurePainter(const Figure& figure, int width)
      : figure_(figure), scale_(width / FigureLayout::kWidth), canvas_({.height = width * 5 / 7, .width = width}, kPaper) {}

  Image paint() {
    axes();
    for (const FigureSeries& series : figure_.series) {
      for (const auto& stretch : series.stretches) {
        std::vector<CanvasPoint> points;
        for (const ChartPoint& p : stretch) {
          const ChartPoint at = FigureLayout::place(figure_, p);
          points.push_back(pixel(at.x, at.y));
        }
        canvas_.line(points, stroke_of(series));
      }
    }
    legend(figure_layout(figure_));
    return canvas_.take();
  }

 private:
  using L = FigureLayout;

  CanvasPoint pixel(double x, double y) const { return {x * scale_, y * scale_}; }
  Stroke pen(double width, const Colour& colour) const { return {.width = width * scale_, .colour = colour, .dashes = {}}; }

  Stroke stroke_of(const FigureSeries& series) const {
    Stroke stroke = pen(L::kLineWidth, series.colour);
    for (const double length : series.dashes) stroke.dashes.push_back(length * scale_);
    return stroke;
  }

  void rule(const ChartPoint& from, const ChartPoint& to, double width, const Colour& colour) {
    const CanvasPoint points[] = {pixel(from.x, from.y), pixel(to.x, to.y)};
    canvas_.line(points, pen(width, colour));
  }

  void frame(double left, double top, double right, double bottom, double width, const Colour& colour) {
    const CanvasPoint points[] = {pixel(left, top), pixel(right, top), pixel(right, bottom), pixel(left, bottom), pixel(left, top)};
    canvas_.line(points, pen(width, colour));
  }

  void label(std::string_view text, double x, double y, Anchor anchor) {
    canvas_.text(text, pixel(x, y), anchor, kTextHeight * scale_, pen(kTextWidth, kInk));
  }

  void axes() {
    for (const double tick : figure_.x_ticks) {
      const double x = L::place(figure_, {tick, 0}).x;
      rule({x, L::kTop}, {x, L::kBottom}, 0.8, kGrid);
      label(fmt::format("{:.0f}", tick), x, L::kBottom + 16, Anchor::kMiddle);
    }
    for (const double tick : figure_.y_ticks) {
      const double y = L::place(figure_, {figure_.x_low, tick}).y;
      rule({L::kLeft, y}, {L::kRight, y}, 0.8, kGrid);
      label(fmt::format("{:.1f}", tick), L::kLeft - 6, y + kTextHeight / 2, Anchor::kEnd);
    }
    frame(L::kLeft, L::kTop, L::kRight, L::kBottom, 0.9, kInk);
    label("epoch", (L::kLeft + L::kRight) / 2, L::kHeight - 8, Anchor::kMiddle);
  }

  void legend(const FigureLayout& layout) {
    const double right = layout.legend_left + layout.legend_width, bottom = layout.legend_top + layout.legend_height;
    const CanvasPoint corner = pixel(layout.legend_left, layout.legend_top), opposite = pixel(right, bottom);
    canvas_.fill({corner.x, corner.y, opposite.x, opposite.y}, kPaper, 0.85);
    frame(layout.legend_left, layout.legend_top, right, bottom, 1, kGrid);
    double y = layout.legend_top + L::kLegendPadding + L::kLegendRow / 2 - 1;
    for (const FigureSeries& series : figure_.series) {
      const double x = layout.legend_left + L::kLegendPadding;
      const CanvasPoint sample[] = {pixel(x, y), pixel(x + L::kLegendSample, y)};
      canvas_.line(sample, stroke_of(series));
      label(series.name, x + L::kLegendSample + L::kLegendPadding, y + kTextHeight / 2 - 0.5, Anchor::kStart);
      y += L::kLegendRow;
    }
  }

  const Figure& figure_;
  double scale_;
  Canvas canvas_;
};

}  // namespace

Image curves_png_rgb(const Curves& curves, int width) {
  constexpr int kNarrowest = 210, kWidest = 8400;
  if (width < kNarrowest || width > kWidest) {
    throw Error(ErrorCategory::kUsage, fmt::format("the figure's width must be from {} to {} pixels, not {}", kNarrowest, kWidest, width));
  }
  const Figure figure = book_figure(curves);
  return FigurePainter(figure, width).paint();
}

}  // namespace headstart
