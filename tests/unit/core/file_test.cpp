#include "core/file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <span>

#include "headstart/error.h"
#include "support/temp_dir.h"

namespace headstart {
namespace {

std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

template <typename Function>
std::string message_of(ErrorCategory category, Function function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category);
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return {};
}

TEST(AtomicFile, ReplacesTheOldFileOnlyAtCommit) {
  const test::TempDir folder;
  write_file_atomically(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
    EXPECT_EQ(read_text_file(folder / "a"), "old");
    file.commit();
  }
  EXPECT_EQ(read_text_file(folder / "a"), "new");
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, WithoutCommitLeavesNothing) {
  const test::TempDir folder;
  { AtomicFile(folder / "a").write("half"); }
  EXPECT_EQ(entries(folder.path()), 0U);
}

TEST(AtomicFile, WritesPiecesLargerAndSmallerThanItsBufferInOrder) {
  const test::TempDir folder;
  std::string expected;
  AtomicFile file(folder / "a");
  for (const std::size_t size : {1UL, 5UL << 20, 7UL, (1UL << 20) - 8, 3UL, 1UL << 20}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    file.write(piece);
    expected += piece;
  }
  file.commit();
  EXPECT_EQ(read_text_file(folder / "a"), expected);
}

TEST(AtomicFile, AFullDiskKeepsTheOldFileAndNamesIt) {
  const test::TempDir folder;
  write_file_atomically(folder / "a", "old");
  const pid_t child = fork();
  if (child == 0) {
    // A file size limit stands in for a full disk: write() fails the same way.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file_atomically(folder / "a", std::string(1 << 20, 'x'));
    } catch (const Error& error) {
      const bool named = std::string(error.what()).find((folder / "a").string()) != std::string::npos;
      _exit(error.category() == ErrorCategory::kFile && named ? 0 : 2);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read_text_file(folder / "a"), "old");
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(AtomicFile, AMissingFolderIsAFileErrorThatNamesThePath) {
  const std::string message = message_of(ErrorCategory::kFile, [] { write_file_atomically("/nowhere/at/all", "x"); });
  EXPECT_NE(message.find("/nowhere/at/all"), std::string::npos);
  EXPECT_NE(message.find("No such file"), std::string::npos);
}

TEST(ReadFile, RefusesFoldersPipesMissingAndOversizedFiles) {
  const test::TempDir folder;
  std::vector<std::byte> bytes;
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { read_file(folder.path(), bytes); }).find("folder"), std::string::npos);
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { read_file(folder / "no", bytes); }).find("No such file"), std::string::npos);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { read_file(folder / "pipe", bytes); }).find("regular"), std::string::npos);
  write_file_atomically(folder / "big", "12345");
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { read_file(folder / "big", bytes, 4); }).find("5 bytes"), std::string::npos);
  read_file(folder / "big", bytes, 5);
  EXPECT_EQ(bytes.size(), 5U);
}

TEST(NewFile, IsWrittenInPlaceAndReplacesNothing) {
  const test::TempDir folder;
  {
    NewFile file(folder / "a");
    file.write(std::as_bytes(std::span("one, ", 5)));
    file.write(std::as_bytes(std::span("two", 3)));
  }
  EXPECT_EQ(read_text_file(folder / "a"), "one, two");
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { NewFile file(folder / "a"); }).find("exists"), std::string::npos);
  std::filesystem::create_symlink(folder / "b", folder / "link");
  message_of(ErrorCategory::kFile, [&] { NewFile file(folder / "link"); });
  EXPECT_FALSE(std::filesystem::exists(folder / "b")) << "a link is not followed";
  EXPECT_NO_THROW(sync_everything_in(folder.path()));
  EXPECT_NE(message_of(ErrorCategory::kFile, [&] { sync_everything_in(folder / "no"); }).find("No such file"), std::string::npos);
}

TEST(MappedFile, ShowsTheWholeFileAlsoAnEmptyOne) {
  const test::TempDir folder;
  write_file_atomically(folder / "a", "abc");
  write_file_atomically(folder / "empty", "");
  const MappedFile file(folder / "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()), "abc");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
}

}  // namespace
}  // namespace headstart
