// What is drawn on a terminal, and what is not drawn elsewhere.
#include "terminal.h"

#include "cli/fixture.h"

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
  EXPECT_TRUE(outcome.err.ends_with(kClearLine) || outcome.err.ends_with("\n")) << outcome.err;
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

}  // namespace
}  // namespace headstart::test
