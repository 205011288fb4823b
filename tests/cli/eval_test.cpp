// headstart eval.
#include "cli/fixture.h"

namespace headstart::test {
namespace {

using nlohmann::json;

std::vector<std::string> eval(const std::filesystem::path& photos, const std::vector<std::string>& rest = {}) {
  return joined({"eval", model_file().string(), photos.string(), "--threads", "1"}, rest);
}

TEST(Eval, ShowsFiguresForPeople) {
  const Outcome outcome = run(eval(photos_folder()));
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const text : {"accuracy", "95%", "precision", "recall", "class_2", "24"}) EXPECT_TRUE(says(outcome.out, text));
  EXPECT_FALSE(says(outcome.out, "\x1b"));
}

TEST(Eval, GivesTheSameFiguresTwiceAsJson) {
  const Outcome first = run(eval(photos_folder(), {"--json", "--quiet"}));
  const Outcome second = run(eval(photos_folder(), {"--json", "--batch-size", "7"}));
  EXPECT_EXIT_CODE(first, 0);
  EXPECT_EQ(first.err, "");
  const json figures = json::parse(first.out);
  EXPECT_EQ(figures["photos"], 24);
  EXPECT_EQ(figures["confusion"].size(), 3U);
  EXPECT_EQ(figures["unreadable"].size(), 0U);
  EXPECT_EQ(figures["top1"], json::parse(second.out)["top1"]);
  EXPECT_EQ(figures["confusion"], json::parse(second.out)["confusion"]);
}

TEST(Eval, CsvHasARowAClass) {
  const TempDir folder;
  const Outcome outcome = run(eval(photos_folder(), {"--csv", "--output", (folder / "classes.csv").string()}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.out, "");
  const std::vector<std::string> lines = lines_of(text_of(folder / "classes.csv"));
  ASSERT_GE(lines.size(), 4U);
  EXPECT_TRUE(says(lines[0], "precision"));
  EXPECT_TRUE(lines[1].starts_with("class_0,")) << lines[1];
}

TEST(Eval, WritesARowAPhotoOnRequest) {
  const TempDir folder;
  EXPECT_EXIT_CODE(run(eval(photos_folder(), {"--predictions", (folder / "photos.csv").string()})), 0);
  const std::vector<std::string> lines = lines_of(text_of(folder / "photos.csv"));
  ASSERT_EQ(lines.size(), 25U);
  EXPECT_EQ(lines[0], "path,label,predicted,probability,correct,class_0,class_1,class_2");
  EXPECT_TRUE(lines[1].starts_with("class_0/photo_000.ppm,class_0,class_")) << lines[1];
}

TEST(Eval, TakesTheTestFolderWhereThereIsOne) {
  const TempDir folder;
  make_tiny_dataset(folder / "train", 3, 4);
  make_tiny_dataset(folder / "test", 3, 2);
  const Outcome outcome = run(eval(folder.path(), {"--json"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(json::parse(outcome.out)["photos"], 6);
}

TEST(Eval, UnreadablePhotosAreListedAndChangeTheCode) {
  const TempDir folder;
  make_tiny_dataset(folder.path(), 3, 2);
  write_text(folder / "class_1/bad.png", "no picture");
  const Outcome outcome = run(eval(folder.path(), {"--json"}));
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kPartial);
  EXPECT_EQ(json::parse(outcome.out)["photos"], 6);
  EXPECT_EQ(json::parse(outcome.out)["unreadable"][0]["path"], "class_1/bad.png");
  EXPECT_TRUE(says(outcome.err, "class_1/bad.png"));
}

TEST(Eval, FoldersThatAreNoClassesOfTheModelAreADataError) {
  const TempDir folder;
  make_tiny_dataset(folder.path(), {"cats", "dogs"}, 2);
  const Outcome outcome = run(eval(folder.path()));
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kData);
  EXPECT_EQ(outcome.out, "");
}

TEST(Eval, WhatIsMissingIsAnError) {
  EXPECT_NE(run(eval("/nowhere/at-all")).exit_code, 0);
  EXPECT_EXIT_CODE(run({"eval", "/nowhere/model", photos_folder().string()}), ErrorCategory::kFile);
}

}  // namespace
}  // namespace headstart::test
