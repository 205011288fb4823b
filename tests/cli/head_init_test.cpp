// headstart train --head-init class|probe and --epochs 0: output layers that start from elsewhere, and models without training.
#include <algorithm>

#include "cli/fixture.h"
#include "model/network.h"
#include "weights/state_dict.h"

namespace headstart::test {
namespace {

using nlohmann::json;

// Hot dogs and others, to train and to test.
const std::filesystem::path& hotdogs() {
  static const TempDir folder;
  static const std::filesystem::path photos = [] {
    make_tiny_dataset(folder / "photos/train", {"hotdog", "not-hotdog"}, 8);
    make_tiny_dataset(folder / "photos/test", {"hotdog", "not-hotdog"}, 4, 9);
    return folder / "photos";
  }();
  return photos;
}

// A source with as many output rows as ImageNet has classes.
const std::filesystem::path& thousand_rows() {
  static const TempDir folder;
  static const std::filesystem::path file = [] {
    write_safetensors(folder / "thousand.safetensors", make_network("efficientnet_lite0", 1000, 1)->state());
    return folder / "thousand.safetensors";
  }();
  return file;
}

std::vector<std::string> training(const std::filesystem::path& model, const std::filesystem::path& out,
                                  const std::vector<std::string>& rest) {
  std::vector<std::string> arguments = joined(tiny_training(hotdogs(), out), {"--epochs", "0"});
  *(std::find(arguments.begin(), arguments.end(), "--model") + 1) = model.string();
  return joined(arguments, rest);
}

TEST(HeadInit, TakesTheSourcesRowByTheFoldersNameAndScoresItWithoutTraining) {
  const TempDir folder;
  const std::filesystem::path run_folder = folder / "run";
  const Outcome outcome = run(training(thousand_rows(), run_folder, {"--head-init", "class"}));
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const text : {"hotdog from row 934 (hotdog)", "no source class for not-hotdog", "999 other rows", "0 epochs"}) {
    EXPECT_TRUE(says(outcome.err, text));
  }
  for (const char* const text : {"validation accuracy", "test accuracy", "none: the network as it starts", "report.html"}) {
    EXPECT_TRUE(says(outcome.out, text));
  }
  const json stored = json::parse(text_of(run_folder / "run.json"));
  EXPECT_EQ(stored["head_sources"].dump(), R"([{"class":"hotdog","name":"hotdog","row":934},{"class":"not-hotdog","name":"","row":-1}])");
  EXPECT_EQ(stored["options"]["head_init"], "class");
  EXPECT_EQ(stored["best_epoch"], 0);
  EXPECT_EQ(lines_of(text_of(run_folder / "log.csv")).size(), 1U);
  EXPECT_TRUE(says(text_of(run_folder / "report.html"), "without training"));
  const std::string model = (run_folder / "model.safetensors").string();
  const json figures = json::parse(run({"eval", model, hotdogs().string(), "--json", "--threads", "1"}).out);
  EXPECT_EQ(figures["photos"], 8);
  EXPECT_EQ(figures["top1"], stored["test"]["metrics"]["top1"]);
  const Outcome again = run({"train", "--resume", run_folder.string(), "--head-init", "class", "--epochs", "0"});
  EXPECT_EXIT_CODE(again, 0);
  EXPECT_EQ(again.out, outcome.out);
}

TEST(HeadInit, TakesTheRowsThatAreNamed) {
  const TempDir folder;
  const Outcome outcome = run(training(thousand_rows(), folder / "run",
                                       {"--head-init", "class", "--head-class", "hotdog=Giant Panda", "--head-class", "not-hotdog=934"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, "hotdog from row 388 (giant panda) and not-hotdog from row 934 (hotdog)"));
  // In any order, as the run has them; another source is another run.
  const std::string run_folder = (folder / "run").string();
  EXPECT_EXIT_CODE(run({"train", "--resume", run_folder, "--head-class", "not-hotdog=934", "--head-class", "hotdog=Giant Panda"}), 0);
  const Outcome other = run({"train", "--resume", run_folder, "--head-class", "hotdog=Giant Panda"});
  EXPECT_EXIT_CODE(other, ErrorCategory::kUsage);
  EXPECT_TRUE(says(other.err, "head_class"));
}

TEST(HeadInit, TheProbeWorksWithAnySourceAndTrainingGoesOnFromIt) {
  const TempDir folder;
  const Outcome outcome = run(training(weights_file(), folder / "run", {"--head-init", "probe"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, "output layer fitted to the photos' features")) << outcome.err;
  EXPECT_TRUE(says(outcome.out, "the output layer was fitted")) << outcome.out;
  // Tiny photos of two colours: a linear head tells them apart on the features of any network.
  const json stored = json::parse(text_of(folder / "run/run.json"));
  EXPECT_EQ(stored["test"]["metrics"]["top1"], 1.0);
  EXPECT_EQ(stored["head_sources"].size(), 0U);
  EXPECT_EQ(stored["head_trials"].size(), 1U);  // too few photos to choose a penalty by
  EXPECT_EQ(stored["start"]["epoch"], 0);
  std::vector<std::string> trained = training(weights_file(), folder / "trained", {"--head-init", "probe", "--recipe", "head"});
  *(std::find(trained.begin(), trained.end(), "--epochs") + 1) = "2";
  const Outcome more = run(trained);
  EXPECT_EXIT_CODE(more, 0);
  EXPECT_EQ(json::parse(text_of(folder / "trained/run.json"))["history"][0]["validation_top1"], 1.0);
}

// Of random rows some happen to score hot dogs higher, and some do not.
TEST(HeadInit, NamesTheRowsThatHelpedTheProbe) {
  const TempDir folder;
  int helpful = 0;
  for (const char* const row : {"0", "1", "2", "3", "4", "5"}) {
    const std::filesystem::path run_folder = folder / row;
    const Outcome outcome = run(training(thousand_rows(), run_folder, {"--head-class", std::string("hotdog=") + row}));
    EXPECT_EXIT_CODE(outcome, 0);
    const json sources = json::parse(text_of(run_folder / "run.json"))["head_sources"];
    const bool helped = !sources.empty();
    helpful += helped ? 1 : 0;
    const std::string name = helped ? sources[0]["name"].get<std::string>() : "";
    EXPECT_EQ(outcome.err.find("; helped by the source's " + name + ")") != std::string::npos, helped) << outcome.err;
    EXPECT_EQ(text_of(run_folder / "report.html").find("It was helped by") != std::string::npos, helped);
  }
  EXPECT_GT(helpful, 0);
  EXPECT_LT(helpful, 6);
}

TEST(HeadInit, SaysWhatIsWrongAndWhatToDo) {
  const TempDir folder;
  const std::filesystem::path out = folder / "run";
  const auto refused = [&](const std::filesystem::path& model, const std::vector<std::string>& options, ErrorCategory category,
                           const std::vector<std::string>& said) {
    const Outcome outcome = run(training(model, out, options));
    EXPECT_EXIT_CODE(outcome, category) << ::testing::PrintToString(options);
    for (const std::string& text : said) EXPECT_TRUE(says(outcome.err, text));
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  const auto with_class = [](const std::vector<std::string>& rest) { return joined({"--head-init", "class"}, rest); };
  const ErrorCategory usage = ErrorCategory::kUsage;
  refused(weights_file(), with_class({}), ErrorCategory::kModel, {"10 output rows without names", "head_init probe"});
  refused(weights_file(), with_class({"--head-class", "hotdog=hotdog"}), usage, {"no such class", "0 to 9"});
  refused(thousand_rows(), with_class({"--head-class", "hotdgo=934"}), usage, {"hotdgo", "did you mean 'hotdog'"});
  refused(thousand_rows(), with_class({"--head-class", "hotdog=hotdgo"}), usage, {"did you mean 'hotdog'"});
  refused(thousand_rows(), with_class({"--head-class", "hotdog=crane"}), usage, {"134", "517", "head_class hotdog=134"});
  refused(thousand_rows(), with_class({"--head-class", "hotdog="}), usage, {"none of the classes hotdog and not-hotdog"});
  refused(thousand_rows(), with_class({"--head-class", "hotdog"}), usage, {"--head-class", "NAME=SOURCE"});
  refused(thousand_rows(), with_class({"--head-class", "hotdog=1", "--head-class", "hotdog=2"}), usage, {"'hotdog' is named twice"});
  refused(thousand_rows(), with_class({"--scratch"}), usage, {"scratch"});
  refused(thousand_rows(), with_class({"--head-bias", "uniform"}), usage, {"head_bias"});
  refused(thousand_rows(), {"--head-init", "probe", "--scratch"}, usage, {"scratch"});
  refused(thousand_rows(), {"--head-init", "zero", "--head-class", "hotdog=934"}, usage, {"head_init class or probe"});
  refused(thousand_rows(), {"--head-init", "probe", "--head-class", "hotdog=hotdgo"}, usage, {"did you mean 'hotdog'"});
  refused(thousand_rows(), {"--head-init", "clas"}, usage, {"did you mean class"});
}

}  // namespace
}  // namespace headstart::test
