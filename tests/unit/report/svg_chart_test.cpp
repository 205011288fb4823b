#include "report/svg_chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace headstart {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

LineChart chart_of(std::vector<ChartPoint> points) {
  LineChart chart{.title = "Loss", .x_label = "epoch", .description = "falls"};
  chart.series = {{"training", std::move(points)}};
  return chart;
}

TEST(NiceTicks, AreRoundAndCoverTheRange) {
  EXPECT_EQ(nice_ticks(0, 1, 6), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  EXPECT_EQ(nice_ticks(1, 50, 9, true), (std::vector<double>{0, 10, 20, 30, 40, 50}));
  EXPECT_EQ(nice_ticks(1, 5, 9, true), (std::vector<double>{1, 2, 3, 4, 5}));
  EXPECT_EQ(nice_ticks(0.5, 1.5, 9, true), (std::vector<double>{0, 1, 2}));
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {-3, 7}, {1e-9, 2e-9}, {1e17, 1e17 + 1000}, {-1e300, 1e300}, {0.9371, 0.9372}, {99, 101}, {0, 5e-324 * 1e10}}) {
    const std::vector<double> ticks = nice_ticks(low, high, 6);
    ASSERT_GE(ticks.size(), 2U) << low;
    EXPECT_LE(ticks.size(), 6U) << low;
    const double slack = 1e-6 * (high - low);
    EXPECT_LE(ticks.front(), low + slack);
    EXPECT_GE(ticks.back(), high - slack);
  }
}

TEST(TickLabel, HasTheDecimalsThatTheStepNeeds) {
  EXPECT_EQ(tick_label(0.6000000000000001, 0.2, ChartScale::kNumbers), "0.6");
  EXPECT_EQ(tick_label(20, 10, ChartScale::kNumbers), "20");
  EXPECT_EQ(tick_label(0.85, 0.05, ChartScale::kShares), "85%");
  EXPECT_EQ(tick_label(0.9375, 0.0005, ChartScale::kShares), "93.75%");
}

TEST(LineChartSvg, NamesItselfForScreenReaders) {
  const std::string svg = line_chart_svg(chart_of({{1, 0.5}, {2, 0.25}}));
  EXPECT_NE(svg.find("role=\"img\""), std::string::npos);
  EXPECT_NE(svg.find("<title>Loss</title><desc>falls</desc>"), std::string::npos);
  EXPECT_EQ(occurrences(svg, "<polyline"), 1U);
  EXPECT_EQ(occurrences(svg, "<circle"), 2U);
  EXPECT_EQ(svg.find("xmlns"), std::string::npos);
}

TEST(LineChartSvg, StandsAloneWhenAsked) {
  LineChart chart = chart_of({{1, 0.5}});
  chart.standalone = true;
  const std::string svg = line_chart_svg(chart);
  EXPECT_NE(svg.find("xmlns=\"http://www.w3.org/2000/svg\""), std::string::npos);
  EXPECT_NE(svg.find("<style>"), std::string::npos);
}

TEST(LineChartSvg, BreaksTheLineAtPointsThatAreNotFinite) {
  const std::string svg = line_chart_svg(chart_of({{1, 0.5}, {2, kNan}, {3, kInfinity}, {4, 0.2}, {5, 0.1}}));
  EXPECT_EQ(occurrences(svg, "<polyline"), 2U);
  EXPECT_EQ(occurrences(svg, "nan"), 0U);
  EXPECT_EQ(occurrences(svg, "inf"), 0U);
}

TEST(LineChartSvg, DrawsAxesWithoutPointsWithOnePointAndWithEqualPoints) {
  for (const auto& points : std::vector<std::vector<ChartPoint>>{
           {}, {{1, 0.3}}, {{1, 0}, {2, 0}}, {{1, 1e300}}, {{1, kNan}}, {{1, -1e18}, {2, -1e18}}, {{1, 1e-320}, {2, 2e-320}}}) {
    for (const ChartScale scale : {ChartScale::kNumbers, ChartScale::kShares}) {
      LineChart chart = chart_of(points);
      chart.y_scale = scale;
      chart.mark = ChartMark{1, "best"};
      const std::string svg = line_chart_svg(chart);
      EXPECT_EQ(occurrences(svg, "\"nan"), 0U) << svg;
      EXPECT_EQ(occurrences(svg, "inf"), 0U);
      EXPECT_GE(occurrences(svg, "class=\"grid\""), 2U);
    }
  }
}

TEST(LineChartSvg, EscapesNames) {
  LineChart chart = chart_of({{1, 1}});
  chart.title = "<script>";
  chart.series[0].name = "\"><b>";
  chart.mark = ChartMark{1, "</svg>"};
  const std::string svg = line_chart_svg(chart);
  EXPECT_EQ(svg.find("<script>"), std::string::npos);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_EQ(occurrences(svg, "</svg>"), 1U);
}

TEST(LineChartSvg, LeavesDotsOutOfLongLines) {
  std::vector<ChartPoint> points;
  for (int i = 1; i <= 200; ++i) points.push_back({static_cast<double>(i), 1.0 / i});
  EXPECT_EQ(occurrences(line_chart_svg(chart_of(points)), "<circle"), 0U);
}

TEST(LineChartSvg, SpacesALogarithmicAxisByFactors) {
  LineChart chart = chart_of({{0.001, 0.5}, {0.01, 0.6}, {0.1, 0.7}});
  chart.log_x = true;
  chart.crosses = {1};
  const std::string svg = line_chart_svg(chart);
  // From 54 (the first value) to 458 (the last, a cross) in thirds.
  for (const char* const x : {"cx=\"54.0\"", "cx=\"188.7\"", "cx=\"323.3\"", "M454.0,"})
    EXPECT_NE(svg.find(x), std::string::npos) << x << svg;
  for (const char* const label : {">0.001<", ">0.01<", ">0.1<", ">1<"}) EXPECT_NE(svg.find(label), std::string::npos) << label;
}

TEST(LineChartSvg, DrawsDotsAloneWhereASeriesIsNoLine) {
  LineChart chart = chart_of({{1, 0.5}, {2, 0.25}});
  chart.series.front().only_dots = true;
  const std::string svg = line_chart_svg(chart);
  EXPECT_EQ(svg.find("<polyline"), std::string::npos);
  EXPECT_EQ(occurrences(svg, "<circle"), 3U);  // one in the legend
}

}  // namespace
}  // namespace headstart
