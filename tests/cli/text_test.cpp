// The command line's own text helpers, called directly.
#include "text.h"

#include <limits>

#include "cli/fixture.h"
#include "options.h"
#include "progress.h"

namespace headstart::cli {
namespace {

using test::says;

TEST(Text, NumbersAreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(count_text(1, "photo"), "1 photo");
  EXPECT_EQ(count_text(2, "class"), "2 classes");
}

TEST(Text, DurationsAndSizesReadAsPeopleSayThem) {
  EXPECT_EQ(duration_text(0.04), "0.0 s");
  EXPECT_EQ(duration_text(42), "42 s");
  EXPECT_EQ(duration_text(185), "3m 05s");
  EXPECT_EQ(duration_text(7440), "2h 04m");
  EXPECT_EQ(duration_text(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(17'000'000), "17.0 MB");
  EXPECT_EQ(bytes_text(999'960), "1.0 MB");
}

TEST(Text, CsvFieldsAreQuotedWhenTheyMustBe) {
  EXPECT_EQ(csv_field("a b"), "a b");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"x\"\n"), "\"say \"\"x\"\"\n\"");
}

TEST(Text, JsonOfAnyBytesIsValid) {
  const std::string text = json_text({{"path", "a\xFF\xC3/b"}});
  EXPECT_EQ(nlohmann::json::parse(text)["path"], "a\xEF\xBF\xBD\xEF\xBF\xBD/b");
}

TEST(Text, ControlCharactersCannotSteerTheTerminal) { EXPECT_EQ(printable("a\x1b[31m\n\x7f"), "a\\x1b[31m\\x0a\\x7f"); }

TEST(Text, ShellQuotingKeepsWordsWhole) {
  EXPECT_EQ(shell_quoted("runs/a-1"), "runs/a-1");
  EXPECT_EQ(shell_quoted("my run"), "'my run'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted(""), "''");
}

TEST(Text, TheNearestNameIsFoundForTypingErrorsOnly) {
  const std::vector<std::string> known = {"train", "eval", "predict"};
  EXPECT_EQ(nearest("trian", known), "train");
  EXPECT_EQ(nearest("evla", known), "eval");
  EXPECT_EQ(nearest("pred", known), "predict");
  EXPECT_EQ(nearest("banana", known), "");
  EXPECT_EQ(nearest("", known), "");
}

TEST(Text, NumbersOutsideTheirRangeAreRefusedByName) {
  EXPECT_EQ(parse_number("--lr", "1e-3", {.above_low = true}), 1e-3);
  for (const char* const text : {"0", "-1", "nan", "inf", "1e999", "", " 1", "1 ", "0x10", "1,5", "abc"}) {
    try {
      parse_number("--lr", text, {.above_low = true});
      ADD_FAILURE() << "accepted '" << text << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUsage);
      EXPECT_TRUE(says(error.what(), "--lr"));
    }
  }
  EXPECT_EQ(parse_integer("--seed", "18446744073709551615", 0, std::numeric_limits<std::uint64_t>::max()),
            std::numeric_limits<std::uint64_t>::max());
  for (const char* const text : {"-1", "+1", "1.0", "18446744073709551616", ""}) {
    EXPECT_THROW(parse_integer("--seed", text, 0, std::numeric_limits<std::uint64_t>::max()), Error) << text;
  }
}

TEST(Text, AProgressBarFitsEveryWidth) {
  const ProgressState state{.title = "Epoch 12/100", .done = 640, .total = 1600, .rate = 31.5, .extra = "loss 0.412  top-1 84.1%"};
  for (int columns = 1; columns < 200; ++columns) {
    for (const bool utf8 : {false, true}) {
      const std::string line = draw_bar(state, columns, utf8);
      EXPECT_LE(text_columns(line), std::max(columns - 1, 1)) << columns;
      EXPECT_FALSE(says(line, "\n"));
    }
  }
  EXPECT_TRUE(says(draw_bar(state, 120, false), "####"));
  EXPECT_TRUE(says(draw_bar(state, 120, true), "━━━"));
  for (const char* const part : {"40%", "640/1,600", "31.5/s", "30 s left", "loss 0.412"})
    EXPECT_TRUE(says(draw_bar(state, 120, true), part));
}

TEST(Text, ProgressWithoutATotalShowsNoShare) {
  const ProgressState state{.title = "Predicting", .done = 1234, .rate = 100};
  EXPECT_EQ(draw_bar(state, 80, true), "Predicting    1,234  100/s");
  EXPECT_EQ(plain_progress(state), "Predicting: 1,234 photos, 100/s");
}

}  // namespace
}  // namespace headstart::cli
