#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "eval/display_text.h"
#include "headstart/error.h"
#include "headstart/evaluate.h"

namespace headstart {
namespace {

// `right` of `each` photos of every class are right, the rest are taken for the next class.
Metrics metrics_of(int classes, int each, int right) {
  std::vector<ScoredPhoto> photos;
  for (int c = 0; c < classes; ++c) {
    for (int i = 0; i < each; ++i) {
      ScoredPhoto photo{.path = "p", .label = c, .probabilities = std::vector<float>(static_cast<std::size_t>(classes), 0.0F)};
      photo.probabilities[static_cast<std::size_t>(i < right ? c : (c + 1) % classes)] = 1.0F;
      photos.push_back(std::move(photo));
    }
  }
  return compute_metrics(photos, classes);
}

std::vector<std::string> names_of(int classes) {
  std::vector<std::string> names;
  for (int c = 0; c < classes; ++c) names.push_back("class number " + std::to_string(c));
  return names;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(MetricsJson, HoldsEveryFigure) {
  const Metrics metrics = metrics_of(3, 4, 3);
  const auto json = nlohmann::json::parse(metrics_to_json(metrics, std::vector<std::string>{"a", "b\"", "c"}));
  EXPECT_EQ(json["photos"], 12);
  EXPECT_EQ(json["top1"].get<double>(), metrics.top1);
  EXPECT_EQ(json["top1_interval"][0].get<double>(), metrics.top1_interval.low);
  EXPECT_EQ(json["top1_interval"][1].get<double>(), metrics.top1_interval.high);
  EXPECT_EQ(json["top5"].get<double>(), 1.0);
  EXPECT_EQ(json["mean_loss"].get<double>(), metrics.mean_loss);
  EXPECT_EQ(json["macro"]["f1"].get<double>(), metrics.macro.f1);
  EXPECT_EQ(json["per_class"][1]["class"], "b\"");
  EXPECT_EQ(json["per_class"][1]["support"], 4);
  EXPECT_EQ(json["per_class"][2]["precision"].get<double>(), metrics.per_class[2].precision);
  EXPECT_EQ(json["confusion"], (std::vector<std::vector<int>>{{3, 1, 0}, {0, 3, 1}, {1, 0, 3}}));
}

TEST(MetricsJson, StaysJsonWithNanAndNamesThatAreNoUtf8) {
  Metrics metrics = metrics_of(2, 1, 1);
  metrics.mean_loss = std::numeric_limits<double>::quiet_NaN();
  const auto json = nlohmann::json::parse(metrics_to_json(metrics, std::vector<std::string>{"\xFF\xFE", "b"}));
  EXPECT_TRUE(json["mean_loss"].is_null());
  EXPECT_EQ(json["per_class"][0]["class"], "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(MetricsCsv, HasOneRowAClassAndOneForAll) {
  const std::string csv = metrics_to_csv(metrics_of(2, 4, 3), std::vector<std::string>{"hot, dog", "not"});
  EXPECT_EQ(
      csv.substr(0, csv.find('\n')),
      "class,precision,recall,f1,support,top1,top1_low,top1_high,top5,mean_loss,calibration_error,\"predicted:hot, dog\",predicted:not");
  const std::vector<std::string> lines = lines_of(csv);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[1], "\"hot, dog\",0.75,0.75,0.75,4,,,,,,,3,1");
  EXPECT_EQ(lines[2], "not,0.75,0.75,0.75,4,,,,,,,1,3");
  EXPECT_EQ(lines[3].rfind("(all),0.75,0.75,0.75,8,0.75,0.4", 0), 0U) << lines[3];
  EXPECT_EQ(lines[3].substr(lines[3].size() - 4), ",4,4");
}

TEST(MetricsText, NamesAccuracyIntervalAndConfusion) {
  const std::string text = metrics_to_text(metrics_of(2, 400, 372), std::vector<std::string>{"hotdog", "not-hotdog"});
  EXPECT_NE(text.find("accuracy   93.0%  (744 of 800 photos)\n           95% interval 91.0% to 94.6%\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("top-5"), std::string::npos) << "with two classes top-5 says nothing";
  EXPECT_NE(text.find("hotdog             372          28\n"), std::string::npos) << text;
  EXPECT_NE(text.find("not-hotdog          28         372\n"), std::string::npos) << text;
}

TEST(MetricsText, FitsTheTerminalWhateverTheNames) {
  for (const int classes : {2, 3, 12, 13, 60}) {
    for (const int columns : {60, 80, 120}) {
      std::vector<std::string> names = names_of(classes);
      names[0] = std::string(300, 'x');
      names[1] = "犬の写真犬の写真犬の写真犬の写真犬の写真犬の写真犬の写真犬の写真";
      for (const std::string& line : lines_of(metrics_to_text(metrics_of(classes, 7, 5), names, columns))) {
        EXPECT_LE(display_width(line), columns) << classes << " classes: " << line;
      }
    }
  }
}

TEST(MetricsText, AlignsNamesOfWideCharacters) {
  const std::string text = metrics_to_text(metrics_of(2, 2, 2), std::vector<std::string>{"犬", "cat"});
  std::vector<int> widths;
  for (const std::string& line : lines_of(text)) {
    if (line.find("100.0%  100.0%") != std::string::npos) widths.push_back(display_width(line));
  }
  ASSERT_EQ(widths.size(), 3U);
  EXPECT_EQ(widths[0], widths[1]);
  EXPECT_EQ(widths[1], widths[2]);
}

TEST(MetricsText, ShowsTheMostConfusedPairsOfManyClasses) {
  const std::string text = metrics_to_text(metrics_of(40, 5, 4), names_of(40));
  EXPECT_NE(text.find("most confused"), std::string::npos);
  EXPECT_NE(text.find("class number 0   →  class number 1"), std::string::npos) << text;
  EXPECT_NE(text.find("top-5"), std::string::npos);
  EXPECT_NE(metrics_to_text(metrics_of(40, 5, 5), names_of(40)).find("no photo was taken for another class"), std::string::npos);
}

TEST(MetricsText, LetsNoControlCharactersReachTheTerminal) {
  const std::string text = metrics_to_text(metrics_of(2, 2, 1), std::vector<std::string>{"\x1b[31mred\x07",
                                                                                         "\xC2\x9B"
                                                                                         "b\xFF\n"});
  for (const char c : text) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
  EXPECT_EQ(text.find("\xC2\x9B"), std::string::npos);
}

TEST(MetricsForms, RefuseTheWrongNumberOfNames) {
  const Metrics metrics = metrics_of(2, 1, 1);
  const std::vector<std::string> three = {"a", "b", "c"};
  EXPECT_THROW(metrics_to_json(metrics, three), Error);
  EXPECT_THROW(metrics_to_csv(metrics, three), Error);
  EXPECT_THROW(metrics_to_text(metrics, three), Error);
}

TEST(DisplayText, CountsColumns) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("é"), 1);
  EXPECT_EQ(display_width("e\xCC\x81"), 1);  // combining acute
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("🌭"), 2);
  EXPECT_EQ(display_width("…"), 1);
}

TEST(DisplayText, CutsOnCharacterBorders) {
  EXPECT_EQ(cut_to_width("hotdog", 6), "hotdog");
  EXPECT_EQ(cut_to_width("hotdog", 5), "hotd…");
  EXPECT_EQ(cut_to_width("日本語", 5), "日本…");
  EXPECT_EQ(cut_to_width("日本語", 4), "日…");
  EXPECT_EQ(cut_to_width("日本語", 1), "…");
  EXPECT_EQ(fit_to_width("日本語", 4, Align::kLeft), "日… ");
  EXPECT_EQ(fit_to_width("ab", 4, Align::kRight), "  ab");
}

}  // namespace
}  // namespace headstart
