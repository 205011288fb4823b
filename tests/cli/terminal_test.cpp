// What is drawn on a terminal, and what is not drawn elsewhere.
#include "terminal.h"

#include <algorithm>

#include "cli/fixture.h"
#include "cli/screen.h"

namespace headstart::test {
namespace {

constexpr const char* kClearLine = "\r\x1b[2K";

std::vector<std::string> small_training(const TempDir& folder) {
  return joined(tiny_training(photos_folder(), folder / "run"), {"--recipe", "head", "--epochs", "2"});
}

TEST(Terminal, ATrainingShowsBarsInColourThatFitTheWidth) {
  const TempDir folder;
  const Outcome outcome = run(small_training(folder), {.error_on_terminal = true, .columns = 60});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, kClearLine));
  EXPECT_TRUE(says(outcome.err, "\x1b[2m"));
  EXPECT_TRUE(says(outcome.err, "100%"));
  EXPECT_FALSE(says(outcome.out, "\x1b"));  // a pipe
  for (std::size_t at = 0; (at = outcome.err.find(kClearLine, at)) != std::string::npos;) {
    at += std::string(kClearLine).size();
    const std::size_t end = outcome.err.find('\r', at);
    const bool stays = end != std::string::npos && outcome.err.substr(end, 2) == "\r\n";  // a line that was said, not drawn
    const std::string live = outcome.err.substr(at, end - at);
    if (!stays) {
      EXPECT_LT(cli::text_columns(live), 60) << live;
    }
  }
  // The last thing that was drawn is gone.
  EXPECT_FALSE(says(screen_of(outcome.err, 400).back(), "%"));  // 400: lines that are said may wrap
}

TEST(Terminal, NoColorKeepsTheBarsAndDropsTheColours) {
  const TempDir folder;
  const Outcome outcome =
      run(small_training(folder), {.error_on_terminal = true, .output_on_terminal = true, .environment = {{"NO_COLOR", "1"}}});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, kClearLine));
  for (const std::string& text : {outcome.out, outcome.err}) {
    for (const char* const colour : {"\x1b[1m", "\x1b[2m", "\x1b[0m", "\x1b[3"}) EXPECT_FALSE(says(text, colour));
  }
}

TEST(Terminal, ADumbTerminalGetsPlainLines) {
  const TempDir folder;
  const Outcome outcome = run(small_training(folder), {.error_on_terminal = true, .environment = {{"TERM", "dumb"}}});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_FALSE(says(outcome.err, "\x1b"));
}

TEST(Terminal, QuietDrawsNothing) {
  const Outcome outcome = run({"eval", model_file().string(), photos_folder().string(), "--threads", "1", "--quiet"},
                              {.error_on_terminal = true, .output_on_terminal = true});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(says(outcome.out, "accuracy"));
}

TEST(Terminal, RowsOnATerminalAreTheirOwnProgress) {
  const Outcome outcome = run({"predict", model_file().string(), photos_folder().string(), "--threads", "1"},
                              {.error_on_terminal = true, .output_on_terminal = true});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(says(outcome.out, "\x1b[1m"));
}

std::size_t lines_with(const std::vector<std::string>& screen, const std::string& part) {
  return static_cast<std::size_t>(
      std::count_if(screen.begin(), screen.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
}

// The first line of the screen that says so.
std::size_t line_with(const std::vector<std::string>& screen, const std::string& part) {
  const auto found =
      std::find_if(screen.begin(), screen.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; });
  return static_cast<std::size_t>(found - screen.begin());
}

TEST(Terminal, TheCurvesAreRedrawnInPlaceAndStay) {
  for (const int columns : {40, 80}) {
    const TempDir folder;
    const Outcome outcome = run(joined(tiny_finetuning(photos_folder(), folder / "run"), {"--epochs", "3"}),
                                {.error_on_terminal = true, .columns = columns, .rows = 30});
    EXPECT_EXIT_CODE(outcome, 0);
    const std::vector<std::string> screen = screen_of(outcome.err, 400);  // lines that are said may be longer than the terminal is wide
    EXPECT_EQ(lines_with(screen, "epoch "), 3U);
    EXPECT_EQ(lines_with(screen, "── train loss"), 1U);
    EXPECT_EQ(lines_with(screen, "└"), 1U);
    EXPECT_EQ(lines_with(screen, "Epoch "), 0U);  // no progress is left
    const std::size_t legend = line_with(screen, "── train loss"), axis = line_with(screen, "└");
    EXPECT_GT(legend, line_with(screen, "epoch 3/3"));
    EXPECT_EQ(axis - legend + 2, 12U);  // 40% of 30 rows, the numbers below the axis too
    bool braille = false;
    for (std::size_t line = legend; line <= axis; ++line) {
      EXPECT_LT(cli::text_columns(screen[line]), columns) << screen[line];
      for (const char* const block : {"\xe2\xa0", "\xe2\xa1", "\xe2\xa2", "\xe2\xa3"}) {
        braille = braille || screen[line].find(block) != std::string::npos;
      }
    }
    EXPECT_TRUE(braille);
  }
}

TEST(Terminal, TheCurvesAreAsciiWhereTheLocaleIs) {
  const TempDir folder;
  const Outcome outcome = run(small_training(folder), {.error_on_terminal = true, .environment = {{"LC_ALL", "C"}}});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, "* train loss"));
  EXPECT_TRUE(std::all_of(outcome.err.begin(), outcome.err.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80U; }));
}

TEST(Terminal, NoCurvesWhereThereIsNoRoomForThemOrNobodyWantsThem) {
  const TempDir folder;
  const Outcome low = run(small_training(folder), {.error_on_terminal = true, .rows = 10});
  EXPECT_EXIT_CODE(low, 0);
  EXPECT_TRUE(says(low.err, "epoch 2/2"));
  EXPECT_FALSE(says(low.err, "── train loss"));
  const TempDir other;
  const Outcome quiet = run(joined(small_training(other), {"--quiet"}), {.error_on_terminal = true});
  EXPECT_EXIT_CODE(quiet, 0);
  EXPECT_EQ(quiet.err, "");
}

TEST(Terminal, TextTakesTheRowsThatItWrapsTo) {
  EXPECT_EQ(cli::text_rows("", 10), 1);
  EXPECT_EQ(cli::text_rows("0123456789", 10), 1);
  EXPECT_EQ(cli::text_rows("0123456789a", 10), 2);
  EXPECT_EQ(cli::text_rows("a\nb\n", 10), 3);
  EXPECT_EQ(cli::text_rows("\x1b[34m0123456789\x1b[0m", 10), 1);
  EXPECT_EQ(cli::text_rows("────────── \n", 10), 3);
}

}  // namespace
}  // namespace headstart::test
