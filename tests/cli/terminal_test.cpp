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
  EXPECT_THAT(outcome.err, HasSubstr(kClearLine));
  EXPECT_THAT(outcome.err, HasSubstr("\x1b[2m"));
  EXPECT_THAT(outcome.err, HasSubstr("100%"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));  // a pipe
  for (std::size_t at = 0; (at = outcome.err.find(kClearLine, at)) != std::string::npos;) {
    at += std::string(kClearLine).size();
    const std::string live = outcome.err.substr(at, outcome.err.find('\r', at) - at);
    if (live.find('\n') == std::string::npos) {
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
  EXPECT_THAT(outcome.err, HasSubstr(kClearLine));
  for (const std::string& text : {outcome.out, outcome.err}) {
    for (const char* const colour : {"\x1b[1m", "\x1b[2m", "\x1b[0m", "\x1b[3"}) EXPECT_THAT(text, Not(HasSubstr(colour)));
  }
}

TEST(Terminal, ADumbTerminalGetsPlainLines) {
  const TempDir folder;
  const Outcome outcome = run(small_training(folder), {.error_on_terminal = true, .environment = {{"TERM", "dumb"}}});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_THAT(outcome.err, Not(HasSubstr("\x1b")));
}

TEST(Terminal, QuietDrawsNothing) {
  const Outcome outcome =
      run({"eval", model_file().string(), photos_folder().string(), "--quiet"}, {.error_on_terminal = true, .output_on_terminal = true});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("accuracy"));
}

TEST(Terminal, RowsOnATerminalAreTheirOwnProgress) {
  const Outcome outcome =
      run({"predict", model_file().string(), photos_folder().string()}, {.error_on_terminal = true, .output_on_terminal = true});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("\x1b[1m"));
}

}  // namespace
}  // namespace headstart::test
