// headstart compare: several ways side by side, the paired test, the tuned form, and what is refused.
#include "cli/fixture.h"

namespace headstart::test {
namespace {

std::vector<std::string> tiny_compare(const std::filesystem::path& photos, const std::filesystem::path& out) {
  std::vector<std::string> options = tiny_training(photos, out);
  options[0] = "compare";
  return joined(options, {"--device", "cpu", "--epochs", "1"});
}

TEST(Compare, SetsWaysSideBySideWithATestOverPhotos) {
  const TempDir folder;
  make_tiny_dataset(folder / "photos/train", 2, 6);
  make_tiny_dataset(folder / "photos/test", 2, 3, 9);
  const std::vector<std::string> command = joined(tiny_compare(folder / "photos", folder / "out"), {"--runs", "head,book-pytorch+scratch"});
  const Outcome outcome = run(command);
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const part : {"test acc", "head - book-pytorch+scratch", "McNemar over 6 photos", "compare.html"}) {
    EXPECT_TRUE(says(outcome.out, part));
  }
  EXPECT_TRUE(says(text_of(folder / "out/compare.html"), "Is the difference real?"));
  // All train on the same photos: those set aside for validation are set aside for the book's recipe too.
  const nlohmann::json book = nlohmann::json::parse(text_of(folder / "out/book-pytorch+scratch-seed0/run.json"));
  const nlohmann::json head = nlohmann::json::parse(text_of(folder / "out/head-seed0/run.json"));
  EXPECT_EQ(book["data_fingerprint"], head["data_fingerprint"]);
  EXPECT_EQ(book["options"]["score"], "validation");
  EXPECT_EQ(book["options"]["scratch"], true);
  EXPECT_EQ(book["options"]["loss"], "sum");
  const Outcome again = run(command);
  EXPECT_EXIT_CODE(again, 0);
  EXPECT_EQ(again.out, outcome.out);
  const Outcome other = run(joined(command, {"--label-smoothing", "0.1"}));
  EXPECT_EXIT_CODE(other, exit_code(ErrorCategory::kUsage));
  EXPECT_TRUE(says(other.err, "label_smoothing (run: 0.0, asked: 0.1)"));
}

TEST(Compare, TunesALearningRateOnTheFirstSeed) {
  const TempDir folder;
  const Outcome outcome =
      run(joined(tiny_compare(photos_folder(), folder / "out"), {"--runs", "head,tuned:head", "--tune-lr", "1e-3,1e-1", "--seeds", "2"}));
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const part :
       {"tuned:head: lr 1e-", "the best of 2 on the validation photos of seed 0", "paired t over 2 seeds", " ± "}) {
    EXPECT_TRUE(says(outcome.out, part));
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "out/tuned-head/sweep.html"));
  int runs = 0;  // two rates with the first seed, the better one with the second
  for (const auto& entry : std::filesystem::directory_iterator(folder / "out/tuned-head")) runs += entry.is_directory() ? 1 : 0;
  EXPECT_EQ(runs, 3);
}

TEST(Compare, RefusesWhatCannotBeMeant) {
  const TempDir folder;
  const auto refuses = [&](const std::vector<std::string>& options, const std::string& part) {
    const Outcome outcome = run(joined(tiny_compare(photos_folder(), folder / "out"), options));
    EXPECT_EXIT_CODE(outcome, exit_code(ErrorCategory::kUsage));
    EXPECT_TRUE(says(outcome.err, part));
  };
  refuses({"--runs", "finetun"}, "did you mean finetune?");
  refuses({"--runs", "head,head"}, "head is named twice");
  refuses({"--runs", "tuned:"}, "--runs: expected");
  refuses({"--runs", "head+scratch"}, "the recipe head trains nothing but the output layer");
  refuses({"--runs", "tuned:head", "--tune-lr", "1:0.1:log:3"}, "larger one");
  refuses({"--recipe", "head"}, "unknown option --recipe");
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

}  // namespace
}  // namespace headstart::test
