// A small canvas of RGB pixels: antialiased lines with dashes, rectangles, and text in strokes.
//
// Thread-safety: one thread a canvas. Ownership: the canvas owns its pixels until take(). Errors: none; what lies outside is not drawn.
// Coordinates are in pixels, x to the right and y downwards; (0, 0) is the corner of the first pixel.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "headstart/image.h"

namespace headstart {

struct CanvasPoint {
  double x = 0, y = 0;
};

struct Stroke {
  double width = 1;
  std::array<std::uint8_t, 3> colour{};  // R, G, B
  std::vector<double> dashes;            // lengths on and off in turn; empty: solid
};

enum class Anchor { kStart, kMiddle, kEnd };

class Canvas {
 public:
  Canvas(ImageSize size, std::array<std::uint8_t, 3> ground);

  // Round ends and joints; a pixel is painted by the share of it that the line covers, once however often the line crosses it.
  void line(std::span<const CanvasPoint> points, const Stroke& stroke);
  // `opacity` in [0, 1].
  void fill(const Box& box, std::array<std::uint8_t, 3> colour, double opacity = 1);
  // Letters (upper case is drawn as lower case), digits, and the characters . - _ in strokes; anything else is a box. `at` is on the base
  // line; digits are `height` tall.
  void text(std::string_view text, const CanvasPoint& at, Anchor anchor, double height, const Stroke& stroke);

  Image take() { return std::move(image_); }

 private:
  void cover(const std::vector<std::vector<CanvasPoint>>& lines, const Stroke& stroke);
  void blend(int y, int x, const std::array<std::uint8_t, 3>& colour, double share);
  Image image_;
};

// The parts of a line that are drawn, with lengths on and off in turn.
std::vector<std::vector<CanvasPoint>> dashed(std::span<const CanvasPoint> points, std::span<const double> dashes);

// How wide text() draws.
double text_width(std::string_view text, double height);

}  // namespace headstart
