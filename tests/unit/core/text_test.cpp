#include "headstart/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace headstart {
namespace {

TEST(Text, JoinsAFewAndCountsTheRest) {
  const std::vector<std::string> names = {"a", "b", "c", "d"};
  EXPECT_EQ(join_some(names, 2), "a, b and 2 more");
  EXPECT_EQ(join_some(names, 4), "a, b, c and d");
  EXPECT_EQ(join_some(std::span(names).first(1)), "a");
  EXPECT_EQ(join_some({}), "");
}

TEST(Text, FindsTheNearestNameButNothingFarAway) {
  const std::vector<std::string> known = {"resnet18", "resnet34", "efficientnet_lite0"};
  EXPECT_EQ(nearest_name("resnet-18", known), "resnet18");
  EXPECT_EQ(nearest_name("eficientnet_lite", known), "efficientnet_lite0");
  EXPECT_EQ(nearest_name("vgg", known), "");
  const std::vector<std::string> verbs = {"train", "eval", "predict"};
  EXPECT_EQ(nearest_name("trian", verbs), "train");
  EXPECT_EQ(nearest_name("evla", verbs), "eval");
  EXPECT_EQ(nearest_name("pred", verbs), "predict");
  EXPECT_EQ(nearest_name("banana", verbs), "");
  EXPECT_EQ(nearest_name("", verbs), "");
}

TEST(Text, WritesSizesTimesAndSharesForPeople) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1234567), "1,234,567");
  EXPECT_EQ(human_count(-123456), "-123,456");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(17'364'911), "17.4 MB");
  EXPECT_EQ(human_bytes(999'999), "1.0 MB");
  EXPECT_EQ(human_seconds(3.04), "3.0 s");
  EXPECT_EQ(human_seconds(185), "3m 05s");
  EXPECT_EQ(human_seconds(59.7), "1m 00s");
  EXPECT_EQ(human_seconds(3 * 3600 + 61), "3h 01m");
  EXPECT_EQ(human_seconds(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(human_percent(0.9312), "93.1%");
}

TEST(Text, QuotesCsvFieldsOnlyWhereNeeded) {
  EXPECT_EQ(csv_field("plain name.jpg"), "plain name.jpg");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
}

TEST(Text, ReplacesInvalidUtf8AndKeepsTheRest) {
  const std::string replacement = "\xEF\xBF\xBD";
  EXPECT_EQ(valid_utf8("h\xC3\xB6t \xF0\x9F\x8C\xAD"), "h\xC3\xB6t \xF0\x9F\x8C\xAD");
  EXPECT_EQ(valid_utf8("a\xFFz"), "a" + replacement + "z");
  EXPECT_EQ(valid_utf8("\xC0\xAF"), replacement + replacement);                    // overlong
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), replacement + replacement + replacement);  // surrogate
  EXPECT_EQ(valid_utf8("\xE2\x82"), replacement + replacement);                    // cut off
}

TEST(Text, TimestampIsIso8601) {
  const std::string now = utc_timestamp();
  ASSERT_EQ(now.size(), 20U);
  EXPECT_EQ(now[10], 'T');
  EXPECT_EQ(now.back(), 'Z');
}

}  // namespace
}  // namespace headstart
