// headstart preview: the picture, what is said of it, and what reaches a terminal.
#include <algorithm>

#include "cli/fixture.h"
#include "cli/picture_codes.h"
#include "headstart/image.h"

namespace headstart::test {
namespace {

std::vector<std::string> preview_of(const std::filesystem::path& photos, const std::filesystem::path& out) {
  return {"preview", photos.string(), "--out", out.string()};
}

// The escape sequence in `text` that starts with `start`: through the last ESC \.
std::string sequence_in(const std::string& text, const std::string& start) {
  const std::size_t first = text.find(start), end = text.rfind("\x1b\\");
  if (first == std::string::npos || end == std::string::npos) return {};
  return text.substr(first, end + 2 - first);
}

TEST(Preview, WritesTheBooksGridAndSaysWhatItShows) {
  const TempDir folder;
  const Outcome outcome = run(preview_of(photos_folder(), folder / "grid.png"));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(says(outcome.out, "grid.png: 16 photos of train"));
  EXPECT_TRUE(says(outcome.out, "row 1: class_0, the first 8 photos\n"));
  EXPECT_TRUE(says(outcome.out, "row 2: class_2, the last 8 photos, the last one first\n"));
  EXPECT_FALSE(says(outcome.out, "\x1b"));
  const Image picture = read_image(folder / "grid.png");
  EXPECT_GT(picture.size.width, 8 * 160);
  EXPECT_GT(picture.size.height, 2 * 160);
}

TEST(Preview, IsCalledPreviewPngByDefaultAndReplacesAnOlderOne) {
  const TempDir folder;
  write_text(folder / "preview.png", "old");
  const std::string command = "cd '" + folder.path().string() + "' && " + HEADSTART_PROGRAM + " preview '" + photos_folder().string() +
                              "' --rows 3 --cols 2 --cell 20 >out.txt";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_LT(read_image(folder / "preview.png").size.width, 60);
  EXPECT_TRUE(says(text_of(folder / "out.txt"), "row 3: class_2"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);  // nothing temporary is left
}

TEST(Preview, AugmentedViewsFollowTheSeed) {
  const TempDir folder;
  const auto augmented = [&](const std::string& name, const std::string& seed) {
    const Outcome outcome = run(joined(preview_of(photos_folder(), folder / name), {"--augmented", "--seed", seed, "--crop-size", "32"}));
    EXPECT_EXIT_CODE(outcome, 0);
    EXPECT_TRUE(says(outcome.out, "seed " + seed));
    return text_of(folder / name);
  };
  const std::string first = augmented("a.png", "7");
  EXPECT_TRUE(first == augmented("b.png", "7"));
  EXPECT_FALSE(first == augmented("c.png", "8"));
  // Without --crop-size, the model's.
  EXPECT_EXIT_CODE(run(joined(preview_of(photos_folder(), folder / "m.png"), {"--augmented", "--model", model_file().string()})), 0);
  EXPECT_EQ(read_image(folder / "m.png").size, read_image(folder / "a.png").size);
}

TEST(Preview, UnreadablePhotosAreReplacedWithAWarning) {
  const TempDir folder;
  make_tiny_dataset(folder / "photos", 2, 9);
  write_text(folder / "photos/class_0/photo_000.ppm", "no picture");
  const Outcome outcome = run(preview_of(folder / "photos", folder / "grid.png"));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(outcome.err, "warning: skipped class_0/photo_000.ppm"));
  EXPECT_TRUE(says(outcome.out, "16 photos"));
}

TEST(Preview, MistakesHaveTheirCodes) {
  const TempDir folder;
  const std::filesystem::path png = folder / "grid.png";
  const auto with = [&](const std::vector<std::string>& more) { return run(joined(preview_of(photos_folder(), png), more)); };
  EXPECT_EXIT_CODE(run(preview_of("/nowhere/at-all", png)), ErrorCategory::kFile);
  EXPECT_EXIT_CODE(run(preview_of(photos_folder(), "/nowhere/at-all/grid.png")), ErrorCategory::kFile);
  EXPECT_EXIT_CODE(run(preview_of(photos_folder(), folder.path())), ErrorCategory::kFile);
  EXPECT_EXIT_CODE(with({"--split", "test"}), ErrorCategory::kData);
  EXPECT_EXIT_CODE(with({"--rows", "101"}), ErrorCategory::kUsage);
  EXPECT_EXIT_CODE(with({"--cell", "2000"}), ErrorCategory::kUsage);
  EXPECT_EXIT_CODE(with({"--augmented", "--split", "val"}), ErrorCategory::kUsage);
  EXPECT_EXIT_CODE(with({"--augmented", "--model", "resnet99"}), ErrorCategory::kUsage);
  EXPECT_EXIT_CODE(with({"--augmented", "--min-area", "0.9", "--max-area", "0.5"}), ErrorCategory::kUsage);
  const Outcome no_terminal = with({"--draw", "kitty"});
  EXPECT_EXIT_CODE(no_terminal, ErrorCategory::kUsage);
  EXPECT_TRUE(says(no_terminal.err, "no terminal"));
  EXPECT_EQ(no_terminal.out, "");
  EXPECT_FALSE(std::filesystem::exists(png));
}

TEST(Preview, IsDrawnByKittysProtocolWhereTheTerminalIsKitty) {
  const TempDir folder;
  const std::vector<std::string> command = preview_of(photos_folder(), folder / "grid.png");
  for (const std::pair<std::string, std::string>& variable : {std::pair<std::string, std::string>{"KITTY_WINDOW_ID", "1"},
                                                              {"TERM", "xterm-kitty"},
                                                              {"TERM_PROGRAM", "WezTerm"},
                                                              {"TERM_PROGRAM", "ghostty"}}) {
    const Outcome outcome = run(command, {.output_on_terminal = true, .columns = 100, .environment = {variable}});
    EXPECT_EXIT_CODE(outcome, 0);
    const KittyPicture picture = decode_kitty(sequence_in(outcome.out, "\x1b_G"));
    EXPECT_EQ(decode_image(picture.payload).size.width, 800);  // eight pixels a column
    EXPECT_TRUE(says(outcome.out, "row 1: class_0"));
  }
  // The same variables in a pipe draw nothing.
  EXPECT_FALSE(says(run(command, {.environment = {{"KITTY_WINDOW_ID", "1"}}}).out, "\x1b"));
  EXPECT_FALSE(
      says(run(joined(command, {"--draw", "none"}), {.output_on_terminal = true, .environment = {{"KITTY_WINDOW_ID", "1"}}}).out, "\x1b"));
}

TEST(Preview, AsksTheTerminalForSixelAndPutsItBackInOrder) {
  const TempDir folder;
  Process process(preview_of(photos_folder(), folder / "grid.png"), {.output_on_terminal = true, .input_on_terminal = true});
  ASSERT_TRUE(process.wait_for_output_text("\x1b[c"));
  EXPECT_FALSE(process.echoes());
  process.type("typed ahead\x1b[?62;");
  process.type("4;22c");
  ASSERT_TRUE(process.wait_for_output_text("row 2"));
  EXPECT_TRUE(process.echoes());
  const Outcome outcome = process.finish();
  EXPECT_EXIT_CODE(outcome, 0);
  const SixelPicture picture = decode_sixel(sequence_in(outcome.out, "\x1bP"));
  EXPECT_EQ(picture.image.size.width, 640);
  EXPECT_TRUE(picture.complete);
}

TEST(Preview, DrawsNothingWhereTheTerminalHasNoSixelOrIsNotStandardInput) {
  const TempDir folder;
  const std::vector<std::string> command = preview_of(photos_folder(), folder / "grid.png");
  Process process(command, {.output_on_terminal = true, .input_on_terminal = true});
  ASSERT_TRUE(process.wait_for_output_text("\x1b[c"));
  process.type("\x1b[?1;2c");
  const Outcome asked = process.finish();
  EXPECT_EXIT_CODE(asked, 0);
  EXPECT_FALSE(says(asked.out, "\x1bP"));
  EXPECT_FALSE(says(run(command, {.output_on_terminal = true}).out, "\x1b"));
  EXPECT_FALSE(says(run(command, {.output_on_terminal = true, .input_on_terminal = true, .environment = {{"TERM", "dumb"}}}).out, "\x1b"));
}

TEST(Preview, DrawsAsAskedOnATerminal) {
  const TempDir folder;
  const std::vector<std::string> command = preview_of(photos_folder(), folder / "grid.png");
  EXPECT_TRUE(says(run(joined(command, {"--draw", "sixel"}), {.output_on_terminal = true}).out, "\x1bP"));
  EXPECT_TRUE(says(run(joined(command, {"--draw", "kitty"}), {.output_on_terminal = true}).out, "\x1b_G"));
}

}  // namespace
}  // namespace headstart::test
