// headstart predict: forms of output, forms of input, what cannot be read, and readers that go away.
#include <signal.h>

#include <thread>

#include "cli/fixture.h"

namespace headstart::test {
namespace {

using nlohmann::json;

std::string photo(int label, int index) {
  return (photos_folder() / ("class_" + std::to_string(label)) / ("photo_00" + std::to_string(index) + ".ppm")).string();
}

std::vector<std::string> predict(const std::vector<std::string>& rest) {
  return joined({"predict", model_file().string(), "--threads", "1"}, rest);
}

TEST(Predict, NamesPhotosForPeople) {
  const Outcome outcome = run(predict({photo(0, 0), photo(1, 0)}));
  EXPECT_EXIT_CODE(outcome, 0);
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].starts_with(photo(0, 0) + ": class_")) << lines[0];
  EXPECT_TRUE(says(lines[0], "%"));
  EXPECT_EQ(outcome.err, "");
}

TEST(Predict, JsonIsALineAPhotoInTheOrderOfTheArguments) {
  const Outcome outcome = run(predict({photo(2, 1), photo(0, 3), "--json", "--top", "2"}));
  EXPECT_EXIT_CODE(outcome, 0);
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 2U);
  const json first = json::parse(lines[0]);
  EXPECT_EQ(first["path"], photo(2, 1));
  ASSERT_EQ(first["top"].size(), 2U);
  EXPECT_EQ(first["top"][0]["label"], first["label"]);
  EXPECT_EQ(first["top"][0]["probability"], first["probability"]);
  EXPECT_GE(first["top"][0]["probability"], first["top"][1]["probability"]);
  EXPECT_EQ(json::parse(lines[1])["path"], photo(0, 3));
}

TEST(Predict, CsvHasAHeaderAndTheSameColumnsInEveryRow) {
  const TempDir folder;
  write_text(folder / "a,\"b\".jpg", "no picture");
  const Outcome outcome = run(predict({photo(0, 0), (folder / "a,\"b\".jpg").string(), "--csv", "--top", "9"}));
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kPartial);
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "path,error,label,probability,label_2,probability_2,label_3,probability_3");
  EXPECT_EQ(std::count(lines[1].begin(), lines[1].end(), ','), 7);
  EXPECT_TRUE(says(lines[2], "\"" + (folder / "a,\"\"b\"\".jpg").string() + "\","));
  EXPECT_TRUE(lines[2].ends_with(",,,,,,")) << lines[2];
}

TEST(Predict, AFolderIsWalkedInSortedOrder) {
  const Outcome outcome = run(predict({photos_folder().string(), "--json", "--batch-size", "5"}));
  EXPECT_EXIT_CODE(outcome, 0);
  std::vector<std::string> paths;
  for (const std::string& line : lines_of(outcome.out)) paths.push_back(json::parse(line)["path"]);
  EXPECT_EQ(paths.size(), 24U);
  EXPECT_TRUE(std::is_sorted(paths.begin(), paths.end()));
}

TEST(Predict, PathsComeFromStandardInput) {
  const Outcome lines = run(predict({"-", "--json"}), {.input = photo(0, 0) + "\n\n" + photo(1, 1)});
  EXPECT_EXIT_CODE(lines, 0);
  EXPECT_EQ(lines_of(lines.out).size(), 2U);
  const Outcome zeros = run(predict({"-", "--null", "--json"}), {.input = photo(0, 0) + '\0' + photo(1, 1) + '\0'});
  EXPECT_EXIT_CODE(zeros, 0);
  EXPECT_EQ(zeros.out, lines.out);
}

TEST(Predict, AnUnreadablePhotoIsARowAndACode) {
  const TempDir folder;
  write_text(folder / "bad.jpg", "no picture");
  const Outcome outcome = run(predict({(folder / "bad.jpg").string(), (folder / "absent.jpg").string(), photo(0, 0), "--json"}));
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kPartial);
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_NE(json::parse(lines[0])["error"], "");
  EXPECT_FALSE(json::parse(lines[0]).contains("label"));
  EXPECT_TRUE(json::parse(lines[1]).contains("error"));
  EXPECT_TRUE(json::parse(lines[2]).contains("label"));
  EXPECT_TRUE(says(outcome.err, "2 of 3 photos"));
  EXPECT_TRUE(says(run(predict({(folder / "bad.jpg").string()})).out, "bad.jpg: error: "));
}

TEST(Predict, PathsOfAnyBytesKeepTheJsonValid) {
  const TempDir folder;
  const std::string path = (folder.path() / "caf\xE9.ppm").string();
  std::filesystem::copy_file(photo(0, 0), path);
  const Outcome outcome = run(predict({path, "--json"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_TRUE(says(json::parse(outcome.out)["path"].get<std::string>(), "caf\xEF\xBF\xBD.ppm"));
  EXPECT_TRUE(says(run(predict({path, "--csv"})).out, path));
}

TEST(Predict, FoldersInBracketsAreNamesLikeOthers) {
  const TempDir folder;
  write_ppm(folder / "[a,b]/x.ppm", 40, 40, tiny_photo(0, 0, 0));
  const Outcome outcome = run(predict({(folder / "[a,b]").string(), "--json"}));
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(lines_of(outcome.out).size(), 1U);
}

TEST(Predict, AResultFileIsWrittenWholeOrNotAtAll) {
  const TempDir folder;
  const std::string file = (folder / "rows.csv").string();
  EXPECT_EXIT_CODE(run(predict({photo(0, 0), "--csv", "--output", file})), 0);
  EXPECT_EQ(lines_of(text_of(file)).size(), 2U);
  write_text(file, "old");
  EXPECT_EXIT_CODE(run(predict({folder.path().string(), "--csv", "--output", file})), ErrorCategory::kData);
  EXPECT_EQ(text_of(file), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  EXPECT_EXIT_CODE(run(predict({photo(0, 0), "--output", (folder / "no/such/folder").string()})), ErrorCategory::kFile);
}

TEST(Predict, AModelThatIsMissingOrDamagedIsAnError) {
  const TempDir folder;
  EXPECT_EXIT_CODE(run({"predict", (folder / "absent").string(), photo(0, 0)}), ErrorCategory::kFile);
  write_text(folder / "cut", text_of(model_file()).substr(0, 100'000));
  EXPECT_EXIT_CODE(run({"predict", (folder / "cut").string(), photo(0, 0)}), ErrorCategory::kModel);
}

TEST(Predict, AFolderWithoutPhotosIsADataError) {
  const TempDir folder;
  EXPECT_EXIT_CODE(run(predict({folder.path().string()})), ErrorCategory::kData);
}

TEST(Predict, ADeviceThatIsNotThereIsADeviceError) {
  EXPECT_EXIT_CODE(run(predict({photo(0, 0), "--device", "cuda:77"})), ErrorCategory::kDevice);
}

TEST(Predict, EndsQuietlyWhenItsReaderGoesAway) {
  std::string many;
  for (int i = 0; i < 200; ++i) many += photo(0, i % 8) + "\n";
  const Outcome outcome = run(predict({"-", "--batch-size", "1"}), {.input = many, .keep_input_open = true, .close_output_early = true});
  EXPECT_EQ(outcome.signal, SIGPIPE) << outcome.exit_code << outcome.err;
  EXPECT_EQ(outcome.err, "");
}

TEST(Predict, CtrlCEndsItWhileStandardInputIsSilent) {
  Process process(predict({"-", "--batch-size", "1"}), {.input = photo(0, 0) + "\n", .keep_input_open = true, .error_on_terminal = true});
  ASSERT_TRUE(process.wait_for_error_text("Predicting"));  // the first photo has been answered
  process.send_signal(SIGINT);
  const Outcome outcome = process.finish();
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kInterrupted);
  EXPECT_EQ(lines_of(outcome.out).size(), 1U);
}

}  // namespace
}  // namespace headstart::test
