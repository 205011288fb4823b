#include "data/walk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "headstart/dataset.h"
#include "headstart/error.h"
#include "support/temp_dir.h"

namespace headstart {
namespace {

namespace fs = std::filesystem;

void touch(const fs::path& path, std::string_view content = "x") {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

struct Walked {
  std::vector<std::string> photos;
  std::vector<std::pair<WalkIssue, std::string>> issues;
  FileFacts last;
};

Walked walk(const fs::path& root, const std::string& relative = "") {
  Walked walked;
  WalkSink sink;
  sink.photo = [&](const std::string& path, const FileFacts& facts) {
    walked.photos.push_back(path);
    walked.last = facts;
  };
  sink.issue = [&](WalkIssue issue, const std::string& path, const std::string&) { walked.issues.emplace_back(issue, path); };
  FolderWalker(root, true).walk(relative, sink);
  return walked;
}

using Names = std::vector<std::string>;

TEST(Walk, NamesWithAPhotosExtensionInAnyCaseArePhotosAndOthersAreNot) {
  for (const char* name : {"a.jpg", "a.JPG", "a.JpEg", "a.jpe", "a.jfif", "a.png", "a.webp", "a.tif", "a.TIFF", "a.bmp", "a.ppm", "a.pgm",
                           "a.pbm", "a.pnm", "a.gif", "a.b.jpg"}) {
    EXPECT_NE(format_of_extension(name), ImageFormat::kUnknown) << name;
  }
  for (const char* name : {"jpg", "a.txt", "a.jpg.txt", "a.jpg~", "a.", "a", "", "a.heic"}) {
    EXPECT_EQ(format_of_extension(name), ImageFormat::kUnknown) << name;
  }
}

TEST(Walk, LeavesOutHiddenNamesAndWhatSystemsLeaveBehind) {
  const test::TempDir dir;
  for (const char* name : {".hidden.jpg", "._a.jpg", ".git/a.jpg", "__MACOSX/a.jpg", "@eaDir/a.jpg", "Thumbs.db", "THUMBS.DB",
                           "desktop.ini", ".DS_Store", "notes.txt", "sub/labels.csv"}) {
    touch(dir / name);
  }
  touch(dir / "a.jpg");
  const Walked walked = walk(dir.path());
  EXPECT_EQ(walked.photos, Names{"a.jpg"});
  EXPECT_TRUE(walked.issues.empty());
}

TEST(Walk, PhotosComeInByteOrderOfTheirWholePath) {
  const test::TempDir dir;
  const Names names = {"a-b/1.jpg", "a.jpg", "a/1.jpg", "a/B/2.jpg", "a/b.jpg", "a/b/1.jpg", "a0.jpg", "b.jpg"};
  for (const auto& name : names) touch(dir / name);
  const Walked walked = walk(dir.path());
  EXPECT_TRUE(std::is_sorted(walked.photos.begin(), walked.photos.end()));
  Names expected = names;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(walked.photos, expected);
}

TEST(Walk, GivesSizeAndModificationTime) {
  const test::TempDir dir;
  touch(dir / "a.jpg", "12345");
  const timespec times[2] = {{1000, 0}, {1234, 567}};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir / "a.jpg").c_str(), times, 0), 0);
  const Walked walked = walk(dir.path());
  EXPECT_EQ(walked.last.bytes, 5U);
  EXPECT_EQ(walked.last.mtime_ns, 1'234'000'000'567);
}

TEST(Walk, NamesWithAnyBytesWork) {
  const test::TempDir dir;
  Names names = {"new\nline.jpg", "comma,.jpg", "spa ce.jpg", "\xFF\xFE invalid.jpg", "quote\"'.jpg", "\xC3\xA9t\xC3\xA9.jpg", "-dash.jpg"};
  for (const auto& name : names) touch(dir / name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(walk(dir.path()).photos, names);
}

TEST(Walk, FollowsLinksToFilesAndFolders) {
  const test::TempDir dir, elsewhere;
  touch(elsewhere / "x.jpg");
  touch(elsewhere / "deep/y.jpg");
  fs::create_symlink(elsewhere / "x.jpg", dir / "link.jpg");
  fs::create_symlink(elsewhere / "x.jpg", dir / "no-extension");
  fs::create_directory_symlink(elsewhere.path(), dir / "folder");
  const Walked walked = walk(dir.path());
  EXPECT_EQ(walked.photos, (Names{"folder/deep/y.jpg", "folder/x.jpg", "link.jpg"}));
  EXPECT_TRUE(walked.issues.empty());
}

TEST(Walk, LinkLoopsEnd) {
  const test::TempDir dir;
  touch(dir / "class/a.jpg");
  touch(dir / "class/sub/b.jpg");
  fs::create_directory_symlink(dir.path(), dir / "class/root");
  fs::create_directory_symlink(dir / "class", dir / "class/sub/parent");
  fs::create_directory_symlink(".", dir / "class/self");
  for (const std::string& start : {std::string(), std::string("class")}) {
    const Walked walked = walk(dir.path(), start);
    EXPECT_EQ(walked.photos, (Names{"class/a.jpg", "class/sub/b.jpg"}));
    ASSERT_EQ(walked.issues.size(), 3U);
    for (const auto& issue : walked.issues) EXPECT_EQ(issue.first, WalkIssue::kLoop) << issue.second;
  }
}

// Two links in each of 40 folders to the next would be 2^40 paths.
TEST(Walk, KnottedLinksAreFollowedOnce) {
  const test::TempDir dir;
  constexpr int kDepth = 40;
  for (int i = 0; i <= kDepth; ++i) fs::create_directories(dir / ("d" + std::to_string(i)));
  for (int i = 0; i < kDepth; ++i) {
    for (const char* name : {"left", "right"}) {
      fs::create_directory_symlink(dir / ("d" + std::to_string(i + 1)), dir / ("d" + std::to_string(i)) / name);
    }
  }
  touch(dir / ("d" + std::to_string(kDepth)) / "a.jpg");
  EXPECT_EQ(walk(dir.path(), "d0").photos.size(), 1U);
}

TEST(Walk, ReportsBrokenLinksPipesAndUnsupportedFormats) {
  const test::TempDir dir;
  fs::create_symlink(dir / "nowhere", dir / "broken.jpg");
  fs::create_symlink(dir / "nowhere", dir / "broken-folder");
  ASSERT_EQ(mkfifo((dir / "pipe.jpg").c_str(), 0600), 0);
  touch(dir / "phone.HEIC");
  const Walked walked = walk(dir.path());
  EXPECT_TRUE(walked.photos.empty());
  const std::vector<std::pair<WalkIssue, std::string>> expected = {{WalkIssue::kUnsupported, ""},
                                                                   {WalkIssue::kBrokenLink, "broken-folder"},
                                                                   {WalkIssue::kBrokenLink, "broken.jpg"},
                                                                   {WalkIssue::kNotAFile, "pipe.jpg"}};
  EXPECT_EQ(walked.issues, expected);
}

// A path beyond the system's limit: unreadable for every user, root too.
TEST(Walk, AFolderThatCannotBeReadIsAnIssueAndTheRestIsWalked) {
  const test::TempDir dir;
  touch(dir / "a.jpg");
  touch(dir / "z.jpg");
  const std::string name(200, 'n');
  fs::path long_path = dir.path();
  const int home = open(".", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(chdir(dir.path().c_str()), 0);
  for (int depth = 0; depth < 24; ++depth) {
    ASSERT_EQ(mkdir(name.c_str(), 0700), 0);
    ASSERT_EQ(chdir(name.c_str()), 0);
  }
  ASSERT_EQ(fchdir(home), 0);
  close(home);
  const Walked walked = walk(dir.path());
  EXPECT_EQ(walked.photos, (Names{"a.jpg", "z.jpg"}));
  ASSERT_EQ(walked.issues.size(), 1U);
  EXPECT_EQ(walked.issues[0].first, WalkIssue::kUnreadableFolder);
  EXPECT_THROW(walk_photos(dir.path(), [](const fs::path&) {}), Error);
  std::vector<Problem> problems;
  int photos = 0;
  walk_photos(
      dir.path(), [&](const fs::path&) { ++photos; }, [&](const Problem& problem) { problems.push_back(problem); });
  EXPECT_EQ(photos, 2);
  EXPECT_EQ(problems.size(), 1U);
}

TEST(Walk, AMissingRootOrAFileIsAFileError) {
  const test::TempDir dir;
  touch(dir / "file.jpg");
  for (const fs::path& root : {dir / "missing", dir / "file.jpg"}) {
    try {
      walk_photos(root, [](const fs::path&) {});
      ADD_FAILURE() << "no error for " << root;
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kFile);
      EXPECT_NE(std::string(error.what()).find(root.string()), std::string::npos) << error.what();
    }
  }
}

TEST(Walk, WalkPhotosGivesWholePathsAndBrokenPhotoLinksToo) {
  const test::TempDir dir;
  touch(dir / "b/1.jpg");
  touch(dir / "a.png");
  fs::create_symlink(dir / "nowhere", dir / "c.jpg");
  fs::create_symlink(dir / "nowhere", dir / "d");
  std::vector<fs::path> found;
  walk_photos(dir.path(), [&](const fs::path& path) { found.push_back(path); });
  EXPECT_EQ(found, (std::vector<fs::path>{dir / "a.png", dir / "b/1.jpg", dir / "c.jpg"}));
}

}  // namespace
}  // namespace headstart
