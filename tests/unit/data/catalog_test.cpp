#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "headstart/dataset.h"
#include "headstart/error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

void touch(const fs::path& path) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << "x";
}

void touch_photos(const fs::path& folder, int count) {
  for (int i = 0; i < count; ++i) touch(folder / ("p" + std::to_string(i) + ".jpg"));
}

Names paths_of(const std::vector<Sample>& samples) {
  Names paths;
  for (const Sample& sample : samples) paths.push_back(sample.path);
  return paths;
}

bool has_problem(const Catalog& catalog, const std::string& path, const std::string& words) {
  return std::any_of(catalog.problems.begin(), catalog.problems.end(),
                     [&](const Problem& problem) { return problem.path == path && problem.reason.find(words) != std::string::npos; });
}

// The message of the Error(kData) that a scan of `root` throws; "" when it throws none.
std::string data_error(const fs::path& root) {
  try {
    scan_photos(root);
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kData) << error.what();
    return error.what();
  }
  return {};
}

void expect_mentions(const std::string& message, const Names& words) {
  for (const std::string& word : words) EXPECT_NE(message.find(word), std::string::npos) << '"' << word << "\" is not in: " << message;
}

TEST(Scan, ClassFoldersInByteOrderWithNestedFoldersAndASplit) {
  const test::TempDir dir;
  touch_photos(dir / "b", 10);
  touch_photos(dir / "a/deep/er", 5);
  touch_photos(dir / "a-z", 5);
  touch_photos(dir / "Z", 5);
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(catalog.classes, (Names{"Z", "a", "a-z", "b"}));
  EXPECT_TRUE(catalog.validation_was_split_off);
  EXPECT_EQ(catalog.validation.size(), 1U + 1 + 1 + 2);
  EXPECT_EQ(catalog.train.size(), 25U - 5);
  EXPECT_TRUE(catalog.test.empty());
  EXPECT_TRUE(catalog.problems.empty());
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    const Names paths = paths_of(catalog.samples(split));
    EXPECT_TRUE(std::is_sorted(paths.begin(), paths.end()));
    for (const Sample& sample : catalog.samples(split)) {
      EXPECT_EQ(sample.path.substr(0, sample.path.find('/')), catalog.classes[static_cast<std::size_t>(sample.label)]);
      EXPECT_EQ(sample.bytes, 1U);
      EXPECT_GT(sample.mtime_ns, 1'500'000'000'000'000'000);
    }
  }
}

TEST(Scan, SplitFoldersUnderAllTheirNames) {
  for (const char* train : {"train", "Train", "TRAINING"}) {
    for (const char* validation : {"val", "valid", "validation", "Val"}) {
      const test::TempDir dir;
      for (const char* name : {"cat", "dog"}) {
        touch_photos(dir / train / name, 3);
        touch_photos(dir / validation / name, 2);
        touch_photos(dir / "test" / name, 1);
      }
      const Catalog catalog = scan_photos(dir.path());
      EXPECT_EQ(catalog.classes, (Names{"cat", "dog"}));
      EXPECT_FALSE(catalog.validation_was_split_off);
      EXPECT_EQ(catalog.train.size(), 6U);
      EXPECT_EQ(catalog.validation.size(), 4U);
      EXPECT_EQ(paths_of(catalog.test), (Names{"test/cat/p0.jpg", "test/dog/p0.jpg"}));
      EXPECT_TRUE(catalog.problems.empty());
    }
  }
}

TEST(Scan, ATestFolderNeverFeedsTheSplit) {
  const test::TempDir dir;
  for (const char* name : {"cat", "dog"}) {
    touch_photos(dir / "train" / name, 10);
    touch_photos(dir / "test" / name, 10);
  }
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_TRUE(catalog.validation_was_split_off);
  EXPECT_EQ(catalog.train.size(), 16U);
  EXPECT_EQ(catalog.validation.size(), 4U);
  EXPECT_EQ(catalog.test.size(), 20U);
  for (const std::string& path : paths_of(catalog.validation)) EXPECT_EQ(path.rfind("train/", 0), 0U) << path;
}

TEST(Scan, AClassMayBeCalledTrainOrTest) {
  const test::TempDir dir;
  for (const char* name : {"bus", "train", "test"}) touch_photos(dir / name, 5);
  EXPECT_EQ(scan_photos(dir.path()).classes, (Names{"bus", "test", "train"}));
}

TEST(Scan, EmptyClassesAreReportedAndNotTrainedOn) {
  const test::TempDir dir;
  touch_photos(dir / "cat", 3);
  touch_photos(dir / "dog", 3);
  fs::create_directories(dir / "ant/deep");
  touch(dir / "bee/readme.txt");
  touch(dir / "__MACOSX/cat/a.jpg");
  touch(dir / ".cache/a.jpg");
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(catalog.classes, (Names{"cat", "dog"}));
  EXPECT_EQ(catalog.problems.size(), 2U);
  EXPECT_TRUE(has_problem(catalog, "ant", "without photos"));
  EXPECT_TRUE(has_problem(catalog, "bee", "without photos"));
  for (const Sample& sample : catalog.train) EXPECT_EQ(sample.label, sample.path[0] == 'c' ? 0 : 1);
}

TEST(Scan, ClassesThatTheTrainingPhotosLackAreLeftOutOfTheOtherSplits) {
  const test::TempDir dir;
  touch_photos(dir / "train/cat", 3);
  touch_photos(dir / "train/dog", 3);
  fs::create_directories(dir / "train/cow");
  for (const char* split : {"val", "test"}) {
    touch_photos(dir / split / "cat", 1);
    touch_photos(dir / split / "cow", 2);
    touch_photos(dir / split / "dogs", 2);
  }
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(paths_of(catalog.validation), Names{"val/cat/p0.jpg"});
  EXPECT_EQ(paths_of(catalog.test), Names{"test/cat/p0.jpg"});
  EXPECT_TRUE(has_problem(catalog, "train/cow", "without photos"));
  for (const std::string split : {"val", "test"}) {
    EXPECT_TRUE(has_problem(catalog, split + "/cow", "2 photos left out"));
    EXPECT_TRUE(has_problem(catalog, split + "/dogs", "nearest: 'dog'"));
    EXPECT_TRUE(has_problem(catalog, split + "/dog", "not measured"));
  }
}

TEST(Scan, PhotosOutsideOfClassFoldersAreReported) {
  const test::TempDir dir;
  touch_photos(dir / "train/cat", 3);
  touch_photos(dir / "train/dog", 3);
  touch_photos(dir / "train", 2);
  touch(dir / "cover.jpg");
  touch_photos(dir / "originals", 2);
  // Photos directly in train/ together with a foreign folder in the root would mean a class called "train".
  fs::remove_all(dir / "originals");
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(catalog.train.size() + catalog.validation.size(), 6U);
  EXPECT_TRUE(has_problem(catalog, "cover.jpg", "outside of any class folder"));
  EXPECT_TRUE(has_problem(catalog, "train", "2 photos lie outside of any class folder (the first is 'p0.jpg')"));
}

TEST(Scan, FoldersBesideTheSplitsAreReported) {
  const test::TempDir dir;
  touch_photos(dir / "train/cat", 3);
  touch_photos(dir / "train/dog", 3);
  touch_photos(dir / "originals", 2);
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(catalog.classes, (Names{"cat", "dog"}));
  EXPECT_TRUE(has_problem(catalog, "originals", "beside the split folders"));
}

TEST(Scan, AnEmptyValidationFolderIsReportedAndReplacedByASplit) {
  const test::TempDir dir;
  touch_photos(dir / "train/cat", 5);
  touch_photos(dir / "train/dog", 5);
  fs::create_directories(dir / "val/cat");
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_TRUE(catalog.validation_was_split_off);
  EXPECT_EQ(catalog.validation.size(), 2U);
  EXPECT_TRUE(has_problem(catalog, "val", "taken from the training photos"));
}

TEST(Scan, ClassesThatDifferInCaseOnlyAreReported) {
  const test::TempDir dir;
  touch_photos(dir / "Cat", 3);
  touch_photos(dir / "cat", 3);
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(catalog.classes, (Names{"Cat", "cat"}));
  EXPECT_TRUE(has_problem(catalog, "cat", "only in upper and lower case"));
}

TEST(Scan, LinkedClassFoldersAndPhotosWork) {
  const test::TempDir dir, elsewhere;
  touch_photos(elsewhere / "cats", 3);
  touch_photos(dir / "dog", 3);
  fs::create_directory_symlink(elsewhere / "cats", dir / "cat");
  fs::create_symlink(elsewhere / "cats/p0.jpg", dir / "dog/linked.jpg");
  fs::create_directory_symlink(".", dir / "loop");
  fs::create_directory_symlink("nowhere", dir / "gone");
  const Catalog catalog = scan_photos(dir.path());
  EXPECT_EQ(catalog.classes, (Names{"cat", "dog"}));
  EXPECT_EQ(catalog.train.size() + catalog.validation.size(), 7U);
  EXPECT_TRUE(has_problem(catalog, "loop", "not followed"));
  EXPECT_TRUE(has_problem(catalog, "gone", "leads nowhere"));
}

TEST(Scan, AnUnreadableClassFolderIsAProblem) {
  const test::TempDir dir;
  for (const char* name : {"cat", "dog", "locked", "unentered"}) touch_photos(dir / name, 3);
  fs::permissions(dir.path(), fs::perms::all);
  for (const char* name : {"cat", "dog"}) fs::permissions(dir / name, fs::perms::all);
  fs::permissions(dir / "locked", fs::perms::none);
  fs::permissions(dir / "unentered", fs::perms::owner_read | fs::perms::others_read);
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(seteuid(65534), 0);  // nobody: permissions do not bind root
  }
  const Catalog catalog = scan_photos(dir.path());
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  for (const char* name : {"locked", "unentered"}) fs::permissions(dir / name, fs::perms::all);
  EXPECT_EQ(catalog.classes, (Names{"cat", "dog"}));
  EXPECT_TRUE(has_problem(catalog, "locked", "Permission denied"));
  EXPECT_TRUE(has_problem(catalog, "unentered", "Permission denied"));
  EXPECT_EQ(catalog.problems.size(), 2U);
}

TEST(Scan, ErrorsNameWhatWasFoundAndWhatWasExpected) {
  const Names expected = {"expected ROOT/CLASS/photo.jpg", "ROOT/train/CLASS"};
  {
    const test::TempDir dir;
    expect_mentions(data_error(dir.path()), {"holds neither photos nor folders", dir.path().string(), expected[0], expected[1]});
  }
  {
    const test::TempDir dir;
    touch_photos(dir.path(), 12);
    expect_mentions(data_error(dir.path()), {"it holds 12 photos and no class folders", expected[0]});
  }
  {
    const test::TempDir dir;
    touch_photos(dir / "photos/cat", 2);
    touch_photos(dir / "photos/dog", 2);
    expect_mentions(data_error(dir.path()), {"one class only, 'photos'", "'cat'", "'dog'", "name " + (dir / "photos").string()});
  }
  {
    const test::TempDir dir;
    touch_photos(dir / "train/cat", 2);
    fs::create_directories(dir / "train/dog");
    expect_mentions(data_error(dir.path()), {"its folder 'train' holds photos of one class only, 'cat'", expected[0]});
  }
  {
    const test::TempDir dir;
    touch(dir / "cat/a.txt");
    touch(dir / "dog/a.heic");
    expect_mentions(data_error(dir.path()), {"no photo lies in any of its 2 folders ('cat' and 'dog')"});
  }
  {
    const test::TempDir dir;
    touch_photos(dir / "train", 4);
    touch_photos(dir / "test", 4);
    expect_mentions(data_error(dir.path()), {"its folder 'train' holds 4 photos and no class folders"});
  }
  {
    const test::TempDir dir;
    touch_photos(dir / "val/cat", 4);
    touch_photos(dir / "test/cat", 4);
    expect_mentions(data_error(dir.path()), {"it holds 'test' and 'val' and no train folder"});
  }
}

TEST(Scan, AmbiguousLayoutsAreRefused) {
  {
    const test::TempDir dir;
    for (const char* split : {"train", "val", "valid"}) {
      touch_photos(dir / split / "cat", 2);
      touch_photos(dir / split / "dog", 2);
    }
    expect_mentions(data_error(dir.path()), {"'val' and 'valid'", "keep one of them"});
  }
  {
    const test::TempDir dir;
    touch_photos(dir / "cat", 2);
    touch_photos(dir / "dog", 2);
    touch_photos(dir / "test/cat", 2);
    expect_mentions(data_error(dir.path()), {"'cat' beside 'test'", "move the class folders into ROOT/train"});
  }
}

TEST(Scan, MessagesShowNoControlBytes) {
  const test::TempDir dir;
  touch_photos(dir / "evil\x1B[2J\xFF", 2);
  const std::string message = data_error(dir.path());
  expect_mentions(message, {"'evil\\x1b[2J\xEF\xBF\xBD'"});
}

TEST(Scan, ClassNamesWithAnyBytesWork) {
  const test::TempDir dir;
  const Names names = {"a,b \"c\"", "line\nbreak", "\xFF\xFE"};
  for (const std::string& name : names) touch_photos(dir / name, 2);
  EXPECT_EQ(scan_photos(dir.path()).classes, names);
}

TEST(Scan, RefusesAValidationShareOutsideOfZeroToOne) {
  const test::TempDir dir;
  for (const double share : {0.0, 1.0, -0.1, 2.0, std::nan("")}) {
    try {
      scan_photos(dir.path(), {.validation_fraction = share});
      ADD_FAILURE() << share;
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kUsage);
    }
  }
}

TEST(ScanForEvaluation, TakesTestThenValidationThenClassFolders) {
  const test::TempDir dir;
  const Names classes = {"cat", "dog"};
  touch_photos(dir / "plain/cat", 2);
  touch_photos(dir / "plain/dog", 1);
  touch_photos(dir / "splits/train/cat", 3);
  touch_photos(dir / "splits/val/cat", 2);
  const auto scan = [&](const std::string& name) { return paths_of(scan_for_evaluation(dir / name, classes).test); };
  EXPECT_EQ(scan("plain"), (Names{"cat/p0.jpg", "cat/p1.jpg", "dog/p0.jpg"}));
  EXPECT_EQ(scan("splits"), (Names{"val/cat/p0.jpg", "val/cat/p1.jpg"}));
  touch_photos(dir / "splits/test/dog", 1);
  EXPECT_EQ(scan("splits"), Names{"test/dog/p0.jpg"});
  EXPECT_EQ(scan("splits/train").size(), 3U);
}

TEST(ScanForEvaluation, LabelsAreTheModelsAndUnknownClassesAreProblems) {
  const test::TempDir dir;
  for (const char* name : {"dog", "cats", "zebra"}) touch_photos(dir / name, 2);
  const Catalog catalog = scan_for_evaluation(dir.path(), {"zebra", "cat", "dog"});
  EXPECT_EQ(catalog.classes, (Names{"zebra", "cat", "dog"}));
  ASSERT_EQ(catalog.test.size(), 4U);
  EXPECT_EQ(catalog.test[0].label, 2);
  EXPECT_EQ(catalog.test[2].label, 0);
  EXPECT_TRUE(has_problem(catalog, "cats", "the model has no such class (nearest: 'cat')"));
  EXPECT_TRUE(has_problem(catalog, "cat", "no test photos"));
}

TEST(ScanForEvaluation, MatchesLabelsThatWentThroughJson) {
  const test::TempDir dir;
  touch_photos(dir / "caf\xE9", 2);  // Latin-1
  EXPECT_EQ(scan_for_evaluation(dir.path(), {"caf\xEF\xBF\xBD", "bar"}).test.size(), 2U);
}

TEST(ScanForEvaluation, WithoutAKnownClassItIsADataError) {
  const test::TempDir dir;
  touch_photos(dir / "train/cat", 2);
  try {
    scan_for_evaluation(dir.path(), {"cat", "dog"});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kData);
    expect_mentions(error.what(), {"'cat' and 'dog'", "found 'train'", "name ROOT/train"});
  }
}

TEST(Scan, TheHotdogFolderHasItsPublishedCounts) {
  const fs::path root = test::shared_dir() / "data/hotdog";
  HEADSTART_SKIP_WITHOUT(root);
  const Catalog catalog = scan_photos(root);
  EXPECT_EQ(catalog.classes, (Names{"hotdog", "not-hotdog"}));
  EXPECT_EQ(catalog.train.size(), 1600U);
  EXPECT_EQ(catalog.validation.size(), 400U);
  EXPECT_EQ(catalog.test.size(), 800U);
  EXPECT_TRUE(catalog.problems.empty());
}

TEST(TinyDataset, IsAFolderOfClassesWithReproduciblePhotos) {
  const test::TempDir first, second;
  test::make_tiny_dataset(first.path(), 3, 5, 7);
  test::make_tiny_dataset(second.path(), 3, 5, 7);
  EXPECT_EQ(scan_photos(first.path()).classes, test::tiny_class_names(3));
  EXPECT_EQ(test::tiny_photo(1, 2, 7), test::tiny_photo(1, 2, 7));
  EXPECT_NE(test::tiny_photo(1, 2, 7), test::tiny_photo(1, 2, 8));
  EXPECT_EQ(read_image(first / "class_1/photo_002.ppm").rgb, test::tiny_photo(1, 2, 7));
}

}  // namespace
}  // namespace headstart
