// headstart train, from the options to the run folder.
#include <fmt/format.h>

#include "cli/fixture.h"

namespace headstart::test {
namespace {

using nlohmann::json;

TEST(Train, LeavesARunFolderAndSaysWhatComesNext) {
  const TempDir folder;
  make_tiny_dataset(folder / "photos/train", 3, 6);
  make_tiny_dataset(folder / "photos/test", 3, 2, 9);
  write_text(folder / "photos/train/class_1/bad.jpg", "no picture");
  const std::filesystem::path run_folder = folder / "run";
  const Outcome outcome =
      run(joined(tiny_training(folder / "photos", run_folder), {"--recipe", "head", "--epochs", "4", "--max-unreadable-share", "0.5"}));
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const text :
       {"validation accuracy", "test accuracy", "95% interval", "skipped photos", "report.html", "headstart predict", "headstart eval"}) {
    EXPECT_TRUE(says(outcome.out, text));
  }
  for (const char* const text : {"3: class_0 (", "class_2 (", "efficientnet_lite0", "head: 4 epochs", "epoch 4/4", "bad.jpg"}) {
    EXPECT_TRUE(says(outcome.err, text));
  }
  EXPECT_FALSE(says(outcome.err, "\x1b"));
  for (const char* const file : {"model.safetensors", "log.csv", "run.json", "predictions.csv", "report.html"}) {
    EXPECT_TRUE(std::filesystem::exists(run_folder / file)) << file;
  }
  // The model names photos, and the run's accuracy is the one that eval finds.
  const std::string model = (run_folder / "model.safetensors").string();
  const json figures = json::parse(run({"eval", model, (folder / "photos/test").string(), "--json"}).out);
  EXPECT_TRUE(says(outcome.out, fmt::format("{:.1f}%", 100 * figures["top1"].get<double>())));
  const json info = json::parse(run({"inspect", model, "--json"}).out);
  EXPECT_EQ(info["preprocessing"]["crop_size"], 32);
  EXPECT_EQ(info["metrics"]["test_top1"], figures["top1"]);
}

TEST(Train, OptionsReachTheRun) {
  const TempDir folder;
  const Outcome outcome =
      run(joined(tiny_training(photos_folder(), folder / "run"),
                 {"--recipe", "head", "--epochs", "2", "--lr", "1e-2", "--seed", "5", "--optimizer", "adamw", "--resize", "squash",
                  "--mean", "0.5,0.5,0.5", "--interpolation", "bilinear", "--ignore-exif", "--drop-alpha", "--quiet"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  const json model = json::parse(run({"inspect", (folder / "run/model.safetensors").string(), "--json"}).out);
  EXPECT_EQ(model["preprocessing"]["resize"], "squash");
  EXPECT_EQ(model["preprocessing"]["interpolation"], "bilinear");
  EXPECT_EQ(model["preprocessing"]["mean"], (std::vector<double>{0.5, 0.5, 0.5}));
  EXPECT_EQ(model["preprocessing"]["apply_exif_orientation"], false);
  EXPECT_EQ(model["preprocessing"]["drop_alpha"], true);
  EXPECT_EQ(model["provenance"]["seed"], "5");
  EXPECT_TRUE(lines_of(text_of(folder / "run/log.csv")).back().starts_with("2,"));
  const std::string run_json = text_of(folder / "run/run.json");
  EXPECT_TRUE(says(run_json, "adamw"));
  EXPECT_TRUE(says(run_json, "0.01"));
}

TEST(Train, FrozenStagesAndViewsReachTheRun) {
  const TempDir folder;
  const std::vector<std::string> frozen =
      joined(tiny_finetuning(photos_folder(), folder / "run"), {"--freeze-until", "stage3", "--views", "2", "--epochs", "3"});
  const Outcome outcome = run(frozen);
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, "frozen until stage3, 2 views of a photo"));
  const json options = json::parse(text_of(folder / "run/run.json"))["options"];
  EXPECT_EQ(options["freeze_until"], "stage3");
  EXPECT_EQ(options["views"], 2);
  const Outcome other = run({"train", "--resume", (folder / "run").string(), "--freeze-until", "stage4", "--views", "2"});
  EXPECT_EXIT_CODE(other, ErrorCategory::kUsage);
  EXPECT_TRUE(says(other.err, "freeze_until (run: stage3, asked: stage4)"));
  EXPECT_FALSE(says(other.err, "views"));
}

TEST(Train, FrozenStagesThatCannotBeMeantAreRefused) {
  const TempDir folder;
  const auto refused = [&](const std::vector<std::string>& options) {
    const Outcome outcome = run(joined(tiny_training(photos_folder(), folder / "run"), options));
    EXPECT_EXIT_CODE(outcome, ErrorCategory::kUsage);
    EXPECT_FALSE(std::filesystem::exists(folder / "run"));
    return outcome.err;
  };
  EXPECT_TRUE(says(refused({"--freeze-until", "layer3"}), "stem, stage1, stage2"));
  EXPECT_TRUE(says(refused({"--freeze-until", "stem", "--recipe", "head"}), "recipe head"));
  EXPECT_TRUE(says(refused({"--freeze-until", "stem", "--recipe", "finetune", "--scratch"}), "scratch"));
}

TEST(Train, AFinishedRunIsShownAgainAndRefusesOtherOptions) {
  const TempDir folder;
  const Outcome first = run(joined(tiny_training(photos_folder(), folder / "run"), {"--recipe", "head", "--epochs", "2"}));
  EXPECT_EXIT_CODE(first, 0);
  const std::string run_folder = (folder / "run").string();
  const Outcome again = run({"train", "--resume", run_folder});
  EXPECT_EXIT_CODE(again, 0);
  EXPECT_EQ(again.out, first.out);
  EXPECT_EXIT_CODE(
      run({"train", "--resume", run_folder, "--epochs", "2", "--recipe", "head", "--crop-size", "32", "--model", weights_file().string()}),
      0);
  const Outcome other = run({"train", "--resume", run_folder, "--epochs", "3", "--lr", "1e-5"});
  EXPECT_EXIT_CODE(other, ErrorCategory::kUsage);
  EXPECT_TRUE(says(other.err, "epochs"));
  EXPECT_TRUE(says(other.err, "lr"));
  const Outcome second = run(tiny_finetuning(photos_folder(), folder / "run"));
  EXPECT_EXIT_CODE(second, ErrorCategory::kUsage);
  EXPECT_TRUE(says(second.err, "--resume"));
}

TEST(Train, ErrorsHaveTheCodeOfTheirKind) {
  const TempDir folder;
  make_tiny_dataset(folder / "bad", 2, 4);
  for (int i = 0; i < 4; ++i) write_text(folder / "bad/class_0" / fmt::format("bad_{}.jpg", i), "no picture");
  write_text(folder / "weights.pth", "no weights");
  const std::string out = (folder / "run").string();
  const std::string photos = photos_folder().string();
  EXPECT_NE(run(tiny_training("/nowhere/at-all", out)).exit_code, 0);
  EXPECT_EXIT_CODE(run(joined(tiny_training(folder / "bad", out), {"--recipe", "head", "--epochs", "1"})), ErrorCategory::kData);
  EXPECT_EXIT_CODE(run({"train", photos, "--model", (folder / "weights.pth").string(), "--out", out + "2"}), ErrorCategory::kModel);
  EXPECT_EXIT_CODE(run({"train", photos, "--model", (folder / "absent.pth").string(), "--out", out + "3"}), ErrorCategory::kFile);
  EXPECT_EXIT_CODE(run({"train", photos, "--model", "resnet1", "--out", out + "4"}), ErrorCategory::kUsage);
  EXPECT_EXIT_CODE(run({"train", "--resume", (folder / "absent").string()}), ErrorCategory::kUsage);
  EXPECT_EXIT_CODE(run(joined(tiny_training(photos, out + "5"), {"--device", "cuda:77"})), ErrorCategory::kDevice);
  EXPECT_EXIT_CODE(run(joined(tiny_finetuning(photos, out + "6"), {"--epochs", "2", "--lr", "1e30"})), ErrorCategory::kTraining);
}

TEST(Train, TheLogFileGetsTheMessages) {
  const TempDir folder;
  const std::string log = (folder / "no/such/folder/log.txt").string();
  const std::filesystem::path blocked = folder / "file";
  write_text(blocked, "");
  EXPECT_EXIT_CODE(run(joined(tiny_training(photos_folder(), folder / "run"), {"--log-file", (blocked / "log.txt").string()})),
                   ErrorCategory::kFile);
  EXPECT_EXIT_CODE(run(joined(tiny_training(photos_folder(), folder / "run"), {"--recipe", "head", "--epochs", "1", "--log-file", log})),
                   0);
  EXPECT_TRUE(std::filesystem::exists(log));
}

}  // namespace
}  // namespace headstart::test
