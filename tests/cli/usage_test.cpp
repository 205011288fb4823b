// The command line before any work is done: help, versions, mistakes, completion.
#include <sys/wait.h>

#include <cstdio>

#include "cli/fixture.h"

namespace headstart::test {
namespace {

TEST(Usage, WithoutACommandTheHelpIsShownAndTheCodeIsUsage) {
  const Outcome outcome = run({});
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kUsage);
  EXPECT_TRUE(says(outcome.err, "Usage: headstart"));
  EXPECT_EQ(outcome.out, "");
}

TEST(Usage, EveryCommandHasHelpWithExamplesOnStandardOutput) {
  for (const char* const command : {"train", "launch", "eval", "predict", "inspect", "preview", "models", "book", "sweep", "compare",
                                    "fetch", "convert", "completion"}) {
    const Outcome outcome = run({command, "--help"});
    EXPECT_EXIT_CODE(outcome, 0);
    EXPECT_TRUE(says(outcome.out, std::string("Usage: headstart ") + command));
    EXPECT_TRUE(says(outcome.out, "Examples:\n  "));
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Usage, EveryTrainingOptionStatesItsDefault) {
  std::string option;
  for (const std::string& line : lines_of(run({"train", "--help"}).out)) {
    const bool starts = line.starts_with("  --");
    if ((starts || line.empty()) && !option.empty() && option.find("--resume") == std::string::npos) {
      EXPECT_TRUE(says(option, "(default:"));
    }
    if (starts) option = "";
    if (starts || (!option.empty() && line.starts_with("   "))) option += line;
    if (line.empty()) option = "";
  }
}

TEST(Usage, TheVersionNamesLibTorchToo) {
  const Outcome outcome = run({"--version"});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.out, "headstart "));
  EXPECT_TRUE(says(outcome.out, "LibTorch 2."));
}

struct Mistake {
  std::vector<std::string> arguments;
  std::vector<std::string> said;  // all on standard error
};

TEST(Usage, MistakesAreNamedWithWhatWasMeant) {
  const std::vector<Mistake> mistakes = {
      {{"trian", "x"}, {"trian", "did you mean train"}},
      {{"--verison"}, {"--verison", "--version"}},
      {{"train", "x", "--epoch", "3"}, {"--epoch", "did you mean --epochs"}},
      {{"train", "x", "--batchsize=3"}, {"--batchsize", "--batch-size"}},
      {{"train"}, {"folder of photos"}},
      {{"train", "x", "y"}, {"y"}},
      {{"train", "x", "--lr", "-1e-3"}, {"--lr", "-1e-3"}},
      {{"train", "x", "--lr", "fast"}, {"--lr", "fast"}},
      {{"train", "x", "--momentum", "1.5"}, {"--momentum", "1.5"}},
      {{"train", "x", "--epochs", "-1"}, {"--epochs", "-1"}},
      {{"train", "x", "--epochs", "2.5"}, {"--epochs", "2.5"}},
      {{"train", "x", "--epochs", "99999999999"}, {"--epochs", "99999999999"}},
      {{"train", "x", "--epochs", "1", "--epochs", "2"}, {"--epochs"}},
      {{"train", "x", "--epochs"}, {"--epochs"}},
      {{"train", "x", "--seed", "-1"}, {"--seed", "-1"}},
      {{"train", "x", "--views", "-1"}, {"--views", "-1"}},
      {{"train", "x", "--freeze-unti", "stem"}, {"did you mean --freeze-until"}},
      {{"train", "x", "--recipe", "fintune"}, {"--recipe", "did you mean finetune"}},
      {{"train", "x", "--device", "gpu"}, {"--device", "gpu"}},
      {{"train", "x", "--mean", "0.5,0.5"}, {"--mean", "R,G,B"}},
      {{"train", "x", "--std", "0.5,0.5,0"}, {"--std"}},
      {{"eval", "m"}, {"PHOTOS"}},
      {{"eval", "m", "p", "--json", "--csv"}, {"--json", "--csv"}},
      {{"predict", "m"}, {"PHOTO"}},
      {{"predict", "m", "p", "--top", "0"}, {"--top"}},
      {{"inspect"}, {"TARGET"}},
      {{"preview"}, {"PHOTOS"}},
      {{"preview", "p", "--rows", "0"}, {"--rows", "0"}},
      {{"preview", "p", "--cols", "many"}, {"--cols", "many"}},
      {{"preview", "p", "--cell", "7"}, {"--cell", "7"}},
      {{"preview", "p", "--split", "trian"}, {"--split", "did you mean train"}},
      {{"preview", "p", "--draw", "kity"}, {"--draw", "did you mean kitty"}},
      {{"preview", "p", "--crop-size", "64"}, {"--crop-size", "--augmented"}},
      {{"preview", "p", "--min-area", "0.5"}, {"--min-area", "--augmented"}},
      {{"fetch"}, {"NAME"}},
      {{"convert", "a.pth"}, {"OUT"}},
      {{"completion", "bahs"}, {"did you mean bash"}},
  };
  for (const Mistake& mistake : mistakes) {
    const Outcome outcome = run(mistake.arguments);
    EXPECT_EXIT_CODE(outcome, ErrorCategory::kUsage) << "\n" << ::testing::PrintToString(mistake.arguments);
    for (const std::string& text : mistake.said) EXPECT_TRUE(says(outcome.err, text));
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
  }
}

std::string output_of(const std::string& shell_command) {
  FILE* const pipe = popen(shell_command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string text;
  for (int c = 0; (c = fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  const int status = pclose(pipe);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : "failed: " + text;
}

TEST(Usage, BashCompletesCommandsOptionsAndChoices) {
  const TempDir folder;
  write_text(folder / "script", run({"completion", "bash"}).out);
  const auto complete = [&](const std::string& words, int at) {
    return output_of("bash -c 'source " + (folder / "script").string() + "; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(at) +
                     "; _headstart; echo ${COMPREPLY[@]}'");
  };
  EXPECT_EQ(complete("headstart tr", 1), "train\n");
  EXPECT_EQ(complete("headstart train --batch", 2), "--batch-size --batch-norm\n");
  EXPECT_EQ(complete("headstart train --recipe \"\"", 3), "auto finetune head book-pytorch book-gluon\n");
  EXPECT_EQ(complete("headstart completion f", 2), "fish\n");
  EXPECT_EQ(complete("headstart train --out \"\"", 3), "\n");  // left to file names
}

TEST(Usage, OtherShellsGetAScriptToo) {
  EXPECT_TRUE(says(run({"completion", "zsh"}).out, "#compdef headstart"));
  EXPECT_TRUE(says(run({"completion", "fish"}).out, "-l recipe -x -a 'auto finetune head book-pytorch book-gluon'"));
}

TEST(Usage, AFullDiskUnderStandardOutputIsAFileError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "skipped: /dev/full is not there";
  const int status = std::system((std::string(HEADSTART_PROGRAM) + " models >/dev/full 2>/dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(status), exit_code(ErrorCategory::kFile));
}

}  // namespace
}  // namespace headstart::test
