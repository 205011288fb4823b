// The command line's own text helpers, called directly.
#include "text.h"

#include <limits>

#include "cli/fixture.h"
#include "options.h"
#include "progress.h"

namespace headstart::cli {
namespace {

using test::says;

TEST(Text, NounsAreCounted) {
  EXPECT_EQ(count_text(1, "photo"), "1 photo");
  EXPECT_EQ(count_text(2, "class"), "2 classes");
  EXPECT_EQ(count_text(2000, "photo"), "2,000 photos");
}

TEST(Text, JsonOfAnyBytesIsValid) {
  const std::string text = json_text({{"path", "a\xFF\xC3/b"}});
  EXPECT_EQ(nlohmann::json::parse(text)["path"], "a\xEF\xBF\xBD\xEF\xBF\xBD/b");
}

TEST(Text, ControlCharactersCannotSteerTheTerminal) { EXPECT_EQ(printable("a\x1b[31m\n\x7f"), "a\\x1b[31m\\x0a\\x7f"); }

TEST(Text, MessagesKeepTheirLines) {
  EXPECT_EQ(printable_lines("a\x1b[31m\n\n  b\r\n"), "a\\x1b[31m\n\n  b\\x0d\n");
  EXPECT_EQ(printable_lines(""), "");
}

TEST(Text, ShellQuotingKeepsWordsWhole) {
  EXPECT_EQ(shell_quoted("runs/a-1"), "runs/a-1");
  EXPECT_EQ(shell_quoted("my run"), "'my run'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted(""), "''");
}

TEST(Text, ATypingErrorGetsASuggestion) {
  const std::vector<std::string> known = {"train", "eval", "predict"};
  EXPECT_EQ(suggestion("trian", known), " (did you mean train?)");
  EXPECT_EQ(suggestion("banana", known), "");
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
