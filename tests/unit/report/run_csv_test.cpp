#include <gtest/gtest.h>

#include <cmath>

#include "fake_result.h"
#include "headstart/error.h"
#include "report/csv_table.h"
#include "report/run_files.h"

namespace headstart {
namespace {

const std::string kHostile = "a,b\"c\"\r\nd\xFF'=1+1";

TEST(ParseCsv, ReadsQuotesCommasAndLineEndsInsideFields) {
  using Rows = std::vector<std::vector<std::string>>;
  EXPECT_EQ(parse_csv(""), Rows{});
  EXPECT_EQ(parse_csv("a,b\n1,2\n"), (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(parse_csv("a,b\r\n1,2"), (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(parse_csv("\"x,\"\"y\"\"\r\nz\",\"\"\n"), (Rows{{"x,\"y\"\r\nz", ""}}));
  EXPECT_EQ(parse_csv(",\n\n"), (Rows{{"", ""}, {""}}));
  EXPECT_EQ(parse_csv("\xFF\xFE,\n"), (Rows{{"\xFF\xFE", ""}}));
}

TEST(ParseCsv, RefusesDamageNamingTheRow) {
  for (const char* text : {"a\n\"b", "a\n\"b\"c", "a\nb\"c", "a\nb\rc", "a\n\"b\"\rc"}) {
    try {
      parse_csv(text);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kModel);
      EXPECT_NE(std::string(error.what()).find("row 2"), std::string::npos) << error.what();
    }
  }
}

TEST(PredictionsCsv, ReadsBackWithSixDigits) {
  const std::vector<std::string> classes = {"cat", kHostile, "dog"};
  std::vector<ScoredPhoto> photos = {{kHostile, 1, {0.1F, 0.7F, 0.2F}}, {"cat/\xE9.jpg", 0, {0.25F, 0.25F, 0.5F}}};
  const std::string csv = predictions_to_csv(photos, classes);
  const std::vector<ScoredPhoto> back = predictions_from_csv(csv, 3);
  ASSERT_EQ(back.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back[i].path, photos[i].path);
    EXPECT_EQ(back[i].label, photos[i].label);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_TRUE(std::abs(back[i].probabilities[c] - photos[i].probabilities[c]) <= 5e-7F);
  }
  const auto rows = parse_csv(csv);
  EXPECT_EQ(rows[0][5], "cat");
  EXPECT_EQ(rows[1], (std::vector<std::string>{kHostile, kHostile, kHostile, "0.700000", "1", "0.100000", "0.700000", "0.200000"}));
  EXPECT_EQ(rows[2][2], "dog");
  EXPECT_EQ(rows[2][4], "0");
}

TEST(PredictionsCsv, RefusesRowsThatDoNotFit) {
  const std::string header = "path,label,predicted,probability,correct,cat,dog\n";
  EXPECT_TRUE(predictions_from_csv(header, 2).empty());
  for (const std::string& text : {std::string(), std::string("path\n"), header + "p,cat\n", header + "p,cow,cat,0.5,0,0.5,0.5\n",
                                  header + "p,cat,cat,0.5,0,half,0.5\n", header + "p,cat,cat,0.5,0,0.5x,0.5\n"}) {
    EXPECT_THROW(predictions_from_csv(text, 2), Error) << text;
  }
  EXPECT_THROW(predictions_from_csv(header, 3), Error);
  EXPECT_THROW(predictions_to_csv(std::vector<ScoredPhoto>{{"p", 0, {1.0F}}}, std::vector<std::string>{"a", "b"}), Error);
}

Catalog odd_catalog() {
  Catalog catalog{.root = "r", .classes = {"cat", kHostile}};
  catalog.train = {{"cat/1.jpg", 0, 10, 1'700'000'000'123'456'789}, {kHostile + "/2.jpg", 1, 1ULL << 63, -5}};
  catalog.validation = {{"cat/3.jpg", 0, 30, 3}};
  catalog.test = {{"test/cat/\xFF\xFE.jpg", 0, 40, 4}};
  return catalog;
}

TEST(DatasetCsv, OfTheSamePhotosHasNoChanges) {
  const std::string csv = dataset_to_csv(odd_catalog());
  EXPECT_EQ(csv.substr(0, csv.find('\n')), "path,split,label,bytes,mtime_ns");
  EXPECT_TRUE(dataset_changes(csv, odd_catalog()).empty());
  const auto rows = parse_csv(csv);
  ASSERT_EQ(rows.size(), 5U);
  EXPECT_EQ(rows[2], (std::vector<std::string>{kHostile + "/2.jpg", "train", kHostile, "9223372036854775808", "-5"}));
  EXPECT_EQ(rows[4][0], "test/cat/\xFF\xFE.jpg");
}

TEST(DatasetChanges, NamesWhatWasAddedRemovedAndChanged) {
  const std::string csv = dataset_to_csv(odd_catalog());
  Catalog now = odd_catalog();
  now.train[0].bytes = 11;
  now.train[1].path = "cat/new.jpg";
  now.validation[0].mtime_ns = 99;
  now.test[0].label = 1;
  EXPECT_EQ(dataset_changes(csv, now),
            (std::vector<std::string>{"added: cat/new.jpg", "removed: " + kHostile + "/2.jpg", "changed: cat/1.jpg (size 10 → 11)",
                                      "changed: cat/3.jpg (modification time)",
                                      "changed: test/cat/\xFF\xFE.jpg (class cat → " + kHostile + ")"}));
  now = odd_catalog();
  std::swap(now.train[0], now.validation[0]);
  EXPECT_EQ(dataset_changes(csv, now).size(), 2U);
}

TEST(DatasetChanges, NamesAFewOfMany) {
  const TrainResult result = test::fake_result({.classes = 2, .photos_per_class = 1});
  const Catalog before = test::fake_catalog(result, 10);
  const Catalog after = test::fake_catalog(result, 60);
  const std::vector<std::string> changes = dataset_changes(dataset_to_csv(before), after);
  ASSERT_EQ(changes.size(), 6U);
  EXPECT_EQ(changes[5], "95 more added");
  EXPECT_THROW(dataset_changes("path,split\nx,y\n", after), Error);
}

}  // namespace
}  // namespace headstart
