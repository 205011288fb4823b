#include "report/raster.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "report/stroke_font.h"

namespace headstart {
namespace {

double distance_to_segment(const CanvasPoint& p, const CanvasPoint& a, const CanvasPoint& b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double length_squared = dx * dx + dy * dy;
  const double t = length_squared > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length_squared, 0.0, 1.0) : 0;
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

// Pixel columns or rows that [low, high] touches, of `size`: [first, last).
std::pair<int, int> touched(double low, double high, int size) {
  const auto clamped = [size](double value) { return static_cast<int>(std::clamp(value, 0.0, static_cast<double>(size))); };
  return {clamped(std::floor(low)), clamped(std::ceil(high))};
}

// Share of each pixel of a rectangle of the canvas that lines cover.
struct Mask {
  int top = 0, left = 0, height = 0, width = 0;
  std::vector<float> share;

  void add(const CanvasPoint& a, const CanvasPoint& b, double width_of_line) {
    const double reach = width_of_line / 2 + 0.5;  // from the middle of the line to the middle of the furthest pixel it touches
    const auto [first_y, last_y] = touched(std::min(a.y, b.y) - reach - top, std::max(a.y, b.y) + reach - top, height);
    const auto [first_x, last_x] = touched(std::min(a.x, b.x) - reach - left, std::max(a.x, b.x) + reach - left, width);
    for (int y = first_y; y < last_y; ++y) {
      for (int x = first_x; x < last_x; ++x) {
        const double distance = distance_to_segment({left + x + 0.5, top + y + 0.5}, a, b);
        float& covered = share[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)];
        covered = std::max(covered, static_cast<float>(std::clamp(reach - distance, 0.0, 1.0)));
      }
    }
  }
};

Mask mask_around(const std::vector<std::vector<CanvasPoint>>& lines, double reach, ImageSize canvas) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  double top = kFar, left = kFar, bottom = -kFar, right = -kFar;
  for (const auto& line : lines) {
    for (const CanvasPoint& p : line) {
      top = std::min(top, p.y - reach);
      bottom = std::max(bottom, p.y + reach);
      left = std::min(left, p.x - reach);
      right = std::max(right, p.x + reach);
    }
  }
  Mask mask;
  if (top > bottom) return mask;
  const auto [first_y, last_y] = touched(top, bottom, canvas.height);
  const auto [first_x, last_x] = touched(left, right, canvas.width);
  mask = {.top = first_y, .left = first_x, .height = std::max(last_y - first_y, 0), .width = std::max(last_x - first_x, 0), .share = {}};
  mask.share.resize(static_cast<std::size_t>(mask.height) * static_cast<std::size_t>(mask.width));
  return mask;
}

}  // namespace

Canvas::Canvas(ImageSize size, std::array<std::uint8_t, 3> ground) {
  image_.size = size;
  image_.rgb.reserve(static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3);
  for (int i = 0; i < size.height * size.width; ++i) image_.rgb.insert(image_.rgb.end(), ground.begin(), ground.end());
}

void Canvas::blend(int y, int x, const std::array<std::uint8_t, 3>& colour, double share) {
  const std::size_t at = (static_cast<std::size_t>(y) * static_cast<std::size_t>(image_.size.width) + static_cast<std::size_t>(x)) * 3;
  for (std::size_t c = 0; c < 3; ++c) {
    const double mixed = image_.rgb[at + c] + share * (colour[c] - image_.rgb[at + c]);
    image_.rgb[at + c] = static_cast<std::uint8_t>(std::lround(mixed));
  }
}

void Canvas::cover(const std::vector<std::vector<CanvasPoint>>& lines, const Stroke& stroke) {
  Mask mask = mask_around(lines, stroke.width / 2 + 0.5, image_.size);
  for (const auto& line : lines) {
    if (line.size() == 1) mask.add(line.front(), line.front(), stroke.width);
    for (std::size_t i = 0; i + 1 < line.size(); ++i) mask.add(line[i], line[i + 1], stroke.width);
  }
  std::size_t at = 0;
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x, ++at) {
      if (mask.share[at] > 0) blend(mask.top + y, mask.left + x, stroke.colour, mask.share[at]);
    }
  }
}

void Canvas::line(std::span<const CanvasPoint> points, const Stroke& stroke) { cover(dashed(points, stroke.dashes), stroke); }

void Canvas::fill(const Box& box, std::array<std::uint8_t, 3> colour, double opacity) {
  const auto [first_y, last_y] = touched(box.top, box.bottom, image_.size.height);
  const auto [first_x, last_x] = touched(box.left, box.right, image_.size.width);
  for (int y = first_y; y < last_y; ++y) {
    const double rows = std::min(box.bottom, y + 1.0) - std::max(box.top, static_cast<double>(y));
    for (int x = first_x; x < last_x; ++x) {
      const double columns = std::min(box.right, x + 1.0) - std::max(box.left, static_cast<double>(x));
      blend(y, x, colour, opacity * rows * columns);
    }
  }
}

void Canvas::text(std::string_view text, const CanvasPoint& at, Anchor anchor, double height, const Stroke& stroke) {
  const double unit = height / kDigitUnits;
  const double width = text_width(text, height);
  double x = at.x - (anchor == Anchor::kStart ? 0 : anchor == Anchor::kMiddle ? width / 2 : width);
  for (const Glyph& glyph : glyphs_of(text)) {
    std::vector<std::vector<CanvasPoint>> lines;
    for (const auto& strokes : glyph.strokes) {
      lines.emplace_back();
      for (const GlyphPoint& p : strokes) lines.back().push_back({x + p.x * unit, at.y - p.y * unit});
    }
    cover(lines, stroke);
    x += glyph.advance * unit;
  }
}

std::vector<std::vector<CanvasPoint>> dashed(std::span<const CanvasPoint> points, std::span<const double> dashes) {
  if (dashes.empty() || points.size() < 2) return {{points.begin(), points.end()}};
  std::vector<std::vector<CanvasPoint>> lines = {{points.front()}};
  std::size_t which = 0;  // of the dashes; even: drawn
  double left = dashes[0];
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const CanvasPoint a = points[i], b = points[i + 1];
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    double done = 0;
    while (length - done > left) {
      done += left;
      const CanvasPoint here{a.x + (b.x - a.x) * done / length, a.y + (b.y - a.y) * done / length};
      if (which % 2 == 0) {
        lines.back().push_back(here);
      } else {
        lines.push_back({here});
      }
      which = (which + 1) % dashes.size();
      left = dashes[which];
    }
    left -= length - done;
    if (which % 2 == 0) lines.back().push_back(b);
  }
  return lines;
}

double text_width(std::string_view text, double height) {
  double units = 0;
  for (const Glyph& glyph : glyphs_of(text)) units += glyph.advance;
  return std::max(units - kLetterGap, 0.0) * height / kDigitUnits;
}

}  // namespace headstart
