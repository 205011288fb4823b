#include "headstart/curves.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "fake_result.h"
#include "headstart/compare.h"
#include "report/book_figure.h"
#include "report/raster.h"
#include "report/stroke_font.h"
#include "support/errors.h"

namespace headstart {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Five epochs as the book's: five training points and one test point an epoch.
Curves book_run() {
  Curves curves{.epochs = 5, .train = {}, .test = {}};
  for (int i = 1; i <= 25; ++i) {
    const double x = i / 5.0;
    curves.train.push_back({x, 0.2 + 0.9 * std::exp(-x), 0.9 - 0.4 * std::exp(-x)});
  }
  for (int epoch = 1; epoch <= 5; ++epoch) curves.test.push_back({static_cast<double>(epoch), 0.85 + 0.01 * epoch});
  return curves;
}

// A flat line for each series, so that it is known where its pixels are.
Curves flat(double loss, double train, double test) {
  Curves curves{.epochs = 3, .train = {}, .test = {}};
  for (int i = 1; i <= 6; ++i) curves.train.push_back({i / 2.0, loss, train});
  for (int i = 1; i <= 3; ++i) curves.test.push_back({static_cast<double>(i), test});
  return curves;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// ---- the frame

TEST(CutToFrame, KeepsWhatIsInsideAndCutsAtTheEdges) {
  const std::vector<ChartPoint> line = {{0.5, 0.5}, {1.5, 0.5}, {2, 2}, {3, 0}};
  const auto stretches = cut_to_frame(line, 1, 3);
  ASSERT_EQ(stretches.size(), 2U);
  ASSERT_EQ(stretches[0].size(), 3U);
  EXPECT_DOUBLE_EQ(stretches[0][0].x, 1);  // enters at the left edge
  EXPECT_DOUBLE_EQ(stretches[0][0].y, 0.5);
  EXPECT_DOUBLE_EQ(stretches[0][1].x, 1.5);
  EXPECT_NEAR(stretches[0][2].x, 1.5 + 0.5 / 3, 1e-12);  // leaves at the top
  EXPECT_DOUBLE_EQ(stretches[0][2].y, 1);
  EXPECT_DOUBLE_EQ(stretches[1][0].x, 2.5);
  EXPECT_DOUBLE_EQ(stretches[1][1].y, 0);
}

TEST(CutToFrame, BreaksAtValuesThatAreNotFiniteAndKeepsLonePoints) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<ChartPoint> line = {{1, 0.1}, {1.5, kNan}, {2, 0.2}, {2.5, 0.3}, {2.6, infinity}, {2.7, 1e300}, {3, 0.4}};
  const auto stretches = cut_to_frame(line, 1, 3);
  ASSERT_EQ(stretches.size(), 3U);
  EXPECT_EQ(stretches[0].size(), 1U);
  EXPECT_EQ(stretches[1].size(), 2U);
  EXPECT_EQ(stretches[2].size(), 1U);
  EXPECT_TRUE(cut_to_frame(std::vector<ChartPoint>{{0, 5}, {4, 5}}, 1, 3).empty());
  EXPECT_EQ(cut_to_frame(std::vector<ChartPoint>{{0, 1e90}, {4, -1e90}}, 1, 3).size(), 1U);
}

TEST(BookFigure, HasTheBooksAxes) {
  const Figure figure = book_figure(book_run());
  EXPECT_EQ(figure.x_ticks, (std::vector<double>{1, 2, 3, 4, 5}));
  EXPECT_EQ(figure.y_ticks.size(), 6U);
  EXPECT_EQ(figure.series[0].name, "train loss");
  EXPECT_EQ(figure.series[2].name, "test acc");
  EXPECT_TRUE(figure.series[0].dashes.empty());
  EXPECT_EQ(figure.series[1].dashes.size(), 2U);
  EXPECT_EQ(figure.series[2].dashes.size(), 4U);
  EXPECT_EQ(book_figure({.epochs = 1, .train = {}, .test = {}}).x_low, 0);
  EXPECT_EQ(book_figure({.epochs = 100'000, .train = {}, .test = {}}).x_high, 100'000);
  test::error_of([] { book_figure({.epochs = 0, .train = {}, .test = {}}); }, ErrorCategory::kUsage);
}

TEST(BookFigure, PutsTheLegendWhereTheLinesAreNot) {
  for (const double level : {0.05, 0.5, 0.95}) {
    const Figure figure = book_figure(flat(level, level, level));
    const FigureLayout layout = figure_layout(figure);
    const double line = FigureLayout::place(figure, {2, level}).y;
    EXPECT_TRUE(line < layout.legend_top || line > layout.legend_top + layout.legend_height) << level;
  }
}

// ---- SVG

TEST(CurvesSvg, DrawsEachSeriesInItsOwnStyle) {
  Curves curves = book_run();
  curves.test_name = "validation";
  const std::string svg = curves_svg(curves);
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_EQ(occurrences(svg, "<polyline"), 6U);  // three lines, three samples in the legend
  EXPECT_EQ(occurrences(svg, "stroke-dasharray=\"5 4.5\""), 2U);
  EXPECT_EQ(occurrences(svg, "stroke-dasharray=\"7 4 0.01 4\""), 2U);
  EXPECT_EQ(occurrences(svg, ">validation acc<"), 1U);
  EXPECT_EQ(occurrences(svg, "class=\"grid\""), 11U);
  EXPECT_EQ(occurrences(svg, ">epoch<"), 1U);
}

// The points of the first line whose stroke is `colour`: x and y in turn.
std::vector<double> points_of(const std::string& svg, const std::string& colour) {
  const std::size_t line = svg.find("stroke=\"" + colour);
  const std::string key = "points=\"";
  const std::size_t start = svg.find(key, line) + key.size();
  std::string text = svg.substr(start, svg.find('"', start) - start);
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream stream(text);
  std::vector<double> numbers;
  for (double value = 0; stream >> value;) numbers.push_back(value);
  return numbers;
}

TEST(CurvesSvg, PutsPointsWhereTheyBelong) {
  const std::vector<double> test = points_of(curves_svg(book_run()), "#15803d");
  ASSERT_EQ(test.size(), 10U);
  using L = FigureLayout;
  for (int epoch = 1; epoch <= 5; ++epoch) {
    EXPECT_NEAR(test[(epoch - 1) * 2], L::kLeft + (epoch - 1) / 4.0 * (L::kRight - L::kLeft), 0.006);  // two decimals are written
    EXPECT_NEAR(test[(epoch - 1) * 2 + 1], L::kBottom - (0.85 + 0.01 * epoch) * (L::kBottom - L::kTop), 0.006);
  }
  const std::vector<double> loss = points_of(curves_svg(book_run()), "#2563eb");
  EXPECT_NEAR(loss[0], L::kLeft, 0.006);  // the first epoch's points lie left of the frame
}

TEST(CurvesSvg, EscapesNamesAndSurvivesAnyValues) {
  Curves curves = flat(kNan, 0.5, 7);
  curves.test_name = "<b>";
  const std::string svg = curves_svg(curves);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_EQ(occurrences(svg, "nan"), 0U);
  EXPECT_EQ(occurrences(svg, "<polyline"), 4U);  // train acc, and the legend
  EXPECT_EQ(occurrences(curves_svg({.epochs = 2, .train = {}, .test = {{1.5, 0.5}}}), "<polyline"), 4U);
}

// ---- pixels

// How far a pixel is from white, toward `colour` alone: 0 to 1.
double coloured(const Image& image, double x, double y, const Colour& colour) {
  const auto at = (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.size.width) + static_cast<std::size_t>(x)) * 3;
  double error = 0;
  for (std::size_t c = 0; c < 3; ++c) error = std::max(error, std::abs(static_cast<double>(image.rgb[at + c]) - colour[c]));
  return 1 - error / 255;
}

// Share of the pixels along a horizontal line at height `value` that have the series' colour, away from the legend and the frame.
double share_drawn(const Curves& curves, int series, double value) {
  const Image image = curves_png_rgb(curves, 840);
  const Figure figure = book_figure(curves);
  const FigureLayout layout = figure_layout(figure);
  const double y = FigureLayout::place(figure, {2, value}).y * 2;
  int drawn = 0, all = 0;
  for (double x = FigureLayout::kLeft * 2 + 8; x < FigureLayout::kRight * 2 - 8; ++x) {
    const bool legend = x > layout.legend_left * 2 - 8 && x < (layout.legend_left + layout.legend_width) * 2 + 8 &&
                        y > layout.legend_top * 2 - 8 && y < (layout.legend_top + layout.legend_height) * 2 + 8;
    if (legend) continue;
    ++all;
    drawn += coloured(image, x, y, figure.series[static_cast<std::size_t>(series)].colour) > 0.95 ? 1 : 0;
  }
  return static_cast<double>(drawn) / all;
}

TEST(CurvesPixels, LinesAreWhereTheirValuesAreAndInTheirStyles) {
  const Curves curves = flat(0.3, 0.55, 0.9);
  EXPECT_GT(share_drawn(curves, 0, 0.3), 0.98);  // solid, but for where nothing crosses it
  // On 5, off 4.5, and the round ends: (5 + 1.7) of 9.5. The ends themselves are blends.
  EXPECT_NEAR(share_drawn(curves, 1, 0.55), 0.65, 0.08);
  EXPECT_NEAR(share_drawn(curves, 2, 0.9), 10.4 / 15.01, 0.08);
  // Elsewhere there is nothing of the kind.
  EXPECT_EQ(share_drawn(curves, 0, 0.55), 0);
  EXPECT_EQ(share_drawn(curves, 1, 0.3), 0);
  EXPECT_EQ(share_drawn(curves, 0, 0.7), 0);
}

TEST(CurvesPixels, AFallingLineFallsMonotonically) {
  Curves curves{.epochs = 5, .train = {}, .test = {}};
  for (int i = 0; i <= 40; ++i) curves.train.push_back({1 + i / 10.0, 0.98 - 0.024 * i, kNan});
  const Image image = curves_png_rgb(curves, 840);
  const Figure figure = book_figure(curves);
  const FigureLayout layout = figure_layout(figure);
  double last = 0;
  for (double x = FigureLayout::kLeft * 2 + 4; x < FigureLayout::kRight * 2 - 4; ++x) {
    if (x > layout.legend_left * 2 - 4 && x < (layout.legend_left + layout.legend_width) * 2 + 4) continue;
    double sum = 0, weighted = 0;
    for (double y = FigureLayout::kTop * 2 + 2; y < FigureLayout::kBottom * 2 - 2; ++y) {
      if (coloured(image, x, y, figure.series[0].colour) < 0.9) continue;
      ++sum;
      weighted += y;
    }
    ASSERT_GT(sum, 0) << "no line at x " << x;
    const double expected = 2 * FigureLayout::place(figure, {1, 0.98 - 0.24 * 4 * (x + 0.5 - FigureLayout::kLeft * 2) /
                                                                           ((FigureLayout::kRight - FigureLayout::kLeft) * 2)})
                                    .y;
    EXPECT_NEAR(weighted / sum + 0.5, expected, 1.1) << x;  // a pixel, for the antialiased edges
    EXPECT_GE(weighted / sum, last - 0.51);
    last = weighted / sum;
  }
}

TEST(CurvesPixels, HasAnySizeInProportionAndRefusesOthers) {
  EXPECT_EQ(curves_png_rgb(book_run()).size, (ImageSize{600, 840}));
  EXPECT_EQ(curves_png_rgb(book_run(), 420).size, (ImageSize{300, 420}));
  for (const int width : {0, -1, 209, 8401}) test::error_of([&] { curves_png_rgb(book_run(), width); }, ErrorCategory::kUsage);
}

TEST(Canvas, CoversPixelsByTheShareThatIsTheirs) {
  Canvas canvas({.height = 9, .width = 20}, {255, 255, 255});
  const CanvasPoint points[] = {{3, 4.25}, {17, 4.25}};
  canvas.line(points, {.width = 1.5, .colour = {0, 0, 0}, .dashes = {}});
  const Image image = canvas.take();
  const auto grey = [&](int y, int x) { return static_cast<int>(image.rgb[static_cast<std::size_t>((y * 20 + x) * 3)]); };
  // The line goes from y 3.5 to 5: half of row 3, all of row 4, nothing of row 5.
  EXPECT_NEAR(grey(3, 10), 128, 1);
  EXPECT_EQ(grey(4, 10), 0);
  EXPECT_EQ(grey(5, 10), 255);
  EXPECT_EQ(grey(2, 10), 255);
  EXPECT_EQ(grey(4, 1), 255);
}

TEST(Canvas, PaintsALineThatCrossesItselfOnce) {
  Canvas once({.height = 9, .width = 20}, {255, 255, 255}), twice({.height = 9, .width = 20}, {255, 255, 255});
  const CanvasPoint there[] = {{3, 4.2}, {17, 4.2}}, and_back[] = {{3, 4.2}, {17, 4.2}, {3, 4.2}};
  once.line(there, {.width = 1, .colour = {0, 0, 0}, .dashes = {}});
  twice.line(and_back, {.width = 1, .colour = {0, 0, 0}, .dashes = {}});
  EXPECT_TRUE(once.take().rgb == twice.take().rgb);
}

TEST(Canvas, DrawsNothingOutsideItself) {
  Canvas canvas({.height = 8, .width = 8}, {255, 255, 255});
  const CanvasPoint line[] = {{-100, -100}, {-50, 300}};
  canvas.line(line, {.width = 3, .colour = {0, 0, 0}, .dashes = {}});
  canvas.fill({-20, -20, -1, -1}, {0, 0, 0});
  canvas.text("0", {100, 100}, Anchor::kStart, 9, {});
  const Image image = canvas.take();
  EXPECT_EQ(*std::min_element(image.rgb.begin(), image.rgb.end()), 255);
}

TEST(Dashed, CutsALineByLengthAcrossItsCorners) {
  const CanvasPoint corner[] = {{0, 0}, {3, 0}, {3, 7}};
  const double dashes[] = {4, 2};
  const auto lines = dashed(corner, dashes);
  ASSERT_EQ(lines.size(), 2U);
  ASSERT_EQ(lines[0].size(), 3U);
  EXPECT_DOUBLE_EQ(lines[0][2].y, 1);
  EXPECT_DOUBLE_EQ(lines[1].front().y, 3);
  EXPECT_DOUBLE_EQ(lines[1].back().y, 7);
}

TEST(StrokeFont, HasWhatTheFigureSaysAndABoxForTheRest) {
  const std::vector<Glyph> box = glyphs_of("\xC3\xA4");
  ASSERT_EQ(box.size(), 1U);
  const auto same = [](const Glyph& a, const Glyph& b) {
    if (a.strokes.size() != b.strokes.size()) return false;
    for (std::size_t i = 0; i < a.strokes.size(); ++i) {
      if (a.strokes[i].size() != b.strokes[i].size()) return false;
      for (std::size_t k = 0; k < a.strokes[i].size(); ++k) {
        if (a.strokes[i][k].x != b.strokes[i][k].x || a.strokes[i][k].y != b.strokes[i][k].y) return false;
      }
    }
    return true;
  };
  const std::string known = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
  const std::vector<Glyph> glyphs = glyphs_of(known);
  ASSERT_EQ(glyphs.size(), known.size());
  for (std::size_t i = 0; i < glyphs.size(); ++i) {
    EXPECT_FALSE(same(glyphs[i], box[0])) << known[i];
    for (std::size_t k = 0; k < i; ++k) EXPECT_FALSE(same(glyphs[i], glyphs[k])) << known[i] << known[k];
  }
  EXPECT_GT(text_width("validation", 9), text_width("test", 9));
}

// ---- text

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Without escape sequences, every code point as one character; braille and box characters as '#'.
std::u32string plain(const std::string& line) {
  std::u32string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if (byte == 0x1B) {
      i = line.find('m', i);
      continue;
    }
    if ((byte & 0xC0U) == 0x80U) {
      out.back() = out.back() << 6U | (byte & 0x3FU);
    } else {
      out += byte < 0x80 ? byte : byte < 0xE0 ? byte & 0x1FU : byte & 0x0FU;
    }
  }
  return out;
}

TEST(CurvesText, HasTheLinesAndColumnsThatWereGiven) {
  Curves curves = book_run();
  for (const std::string& name : {std::string("test"), std::string("validation"),
                                  std::string("pr\xC3\xBC"
                                              "fung"),
                                  std::string("\xFF\x1b[31m")}) {
    curves.test_name = name;
    for (const int columns : {20, 21, 40, 80, 200}) {
      for (const int rows : {6, 7, 12, 20, 50}) {
        for (const int kind : {0, 1, 2, 3}) {
          const std::string text = curves_text(curves, {.columns = columns, .rows = rows, .utf8 = kind % 2 == 0, .colour = kind > 1});
          const std::vector<std::string> lines = lines_of(text);
          EXPECT_EQ(static_cast<int>(lines.size()), rows);
          EXPECT_EQ(text.back(), '\n');
          if (name[0] == '\xFF') continue;
          for (const std::string& line : lines) EXPECT_LE(static_cast<int>(plain(line).size()), columns) << line;
        }
      }
    }
  }
  EXPECT_EQ(curves_text(curves, {.columns = 19}), "");
  EXPECT_EQ(curves_text(curves, {.rows = 5}), "");
  test::error_of([&] { curves_text(curves, {.columns = 1'000'000'000}); }, ErrorCategory::kUsage);
}

TEST(CurvesText, AsciiIsAsciiAndEscapesComeOnlyWithColour) {
  Curves curves = book_run();
  curves.test_name = "t\xC3\xA4st\x1b[31m";
  const std::string ascii = curves_text(curves, {.utf8 = false});
  EXPECT_TRUE(std::all_of(ascii.begin(), ascii.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); })) << ascii;
  EXPECT_NE(ascii.find("* train loss"), std::string::npos);
  curves.test_name = "test";
  EXPECT_EQ(curves_text(curves, {}).find('\x1b'), std::string::npos);
  EXPECT_NE(curves_text(curves, {.colour = true}).find("\x1b[34m"), std::string::npos);
}

// Rows in which an ASCII mark appears, in the plot.
std::vector<int> rows_with(const std::string& text, char mark) {
  const std::vector<std::string> lines = lines_of(text);
  std::vector<int> rows;
  for (std::size_t i = 1; i + 2 < lines.size(); ++i) {
    if (lines[i].find(mark) != std::string::npos) rows.push_back(static_cast<int>(i) - 1);
  }
  return rows;
}

TEST(CurvesText, FlatLinesAreInTheRowsOfTheirValues) {
  // 21 rows for values from 1 to 0: one a twentieth.
  const std::string text = curves_text(flat(0.25, 0.5, 0.9), {.columns = 60, .rows = 24, .utf8 = false});
  EXPECT_EQ(rows_with(text, '*'), std::vector<int>{15});
  EXPECT_EQ(rows_with(text, '+'), std::vector<int>{10});
  EXPECT_EQ(rows_with(text, 'o'), std::vector<int>{2});
  const std::vector<std::string> lines = lines_of(text);
  EXPECT_EQ(lines[1].substr(0, 4), "1.0|");
  EXPECT_EQ(lines[21].substr(0, 4), "0.0|");
  EXPECT_EQ(lines[16].size(), 60U);  // from the first column to the last
  EXPECT_EQ(std::count(lines[16].begin(), lines[16].end(), '*'), 56);
}

TEST(CurvesText, BrailleDotsFollowTheLineAndItsStyle) {
  const auto dots_in = [](const Curves& curves) {
    std::vector<std::vector<int>> heights(2 * 56);  // by dot column
    const std::vector<std::string> lines = lines_of(curves_text(curves, {.columns = 60, .rows = 13}));
    for (int row = 0; row < 10; ++row) {
      const std::u32string line = plain(lines[static_cast<std::size_t>(row) + 1]);
      for (std::size_t column = 4; column < line.size(); ++column) {
        if (line[column] < 0x2800) continue;
        const unsigned bits = static_cast<unsigned>(line[column]) - 0x2800U;
        constexpr int kBit[4][2] = {{0, 3}, {1, 4}, {2, 5}, {6, 7}};
        for (int y = 0; y < 4; ++y) {
          for (int x = 0; x < 2; ++x) {
            if ((bits >> static_cast<unsigned>(kBit[y][x]) & 1U) != 0)
              heights[(column - 4) * 2 + static_cast<std::size_t>(x)].push_back(row * 4 + y);
          }
        }
      }
    }
    return heights;
  };
  Curves falling{.epochs = 2, .train = {{1, 1, kNan}, {2, 0, kNan}}, .test = {}};
  const auto line = dots_in(falling);
  for (std::size_t x = 0; x < line.size(); ++x) {
    ASSERT_EQ(line[x].size(), 1U) << x;
    EXPECT_NEAR(line[x][0], static_cast<double>(x) / (line.size() - 1) * 39, 0.51);
  }
  Curves dashed_line{.epochs = 2, .train = {{1, kNan, 0.5}, {2, kNan, 0.5}}, .test = {}};
  const auto dashes = dots_in(dashed_line);
  const auto empty = std::count_if(dashes.begin(), dashes.end(), [](const auto& column) { return column.empty(); });
  EXPECT_NEAR(static_cast<double>(empty) / static_cast<double>(dashes.size()), 1.0 / 3, 0.03);
}

TEST(CurvesOf, ARunWithoutEpochsHasAnEmptyFigureAndItsAccuracyInALine) {
  const TrainResult run = test::fake_result({.epochs = 0});
  EXPECT_NE(curves_svg(curves_of(run)).find("train loss"), std::string::npos);
  EXPECT_EQ(book_lines(run), fmt::format("validation acc {:.3f} without training\n", run.validation.metrics.top1));
}

TEST(CurvesText, ARunThatJustBeganHasAxesAndLegend) {
  const std::string text = curves_text({.epochs = 5, .train = {}, .test = {}});
  EXPECT_NE(text.find("train loss"), std::string::npos);
  EXPECT_NE(text.find("0.0"), std::string::npos);
  EXPECT_NE(lines_of(text).back().find('5'), std::string::npos);
}

}  // namespace
}  // namespace headstart
