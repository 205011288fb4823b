// What archives may and may not ask of us.
#include "fetch/unpack.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string_view>

#include "fetch_testing.h"
#include "support/archive_builder.h"
#include "support/shared_data.h"

namespace headstart::test {
namespace {

class Unpack : public testing::Test {
 protected:
  Unpacked unpack(const std::string& bytes) {
    std::ofstream(archive(), std::ios::binary) << bytes;  // not synced: many are written
    std::filesystem::remove_all(out());
    return unpack_archive(archive(), out(), options_);
  }
  std::string refusal(const std::string& bytes) {
    return error_of([&] { unpack(bytes); }, ErrorCategory::kData);
  }
  // A refused member must have left nothing outside.
  void expect_nothing_outside() {
    EXPECT_EQ(names_in(folder_.path()), (Names{"archive", "out"}));
    EXPECT_FALSE(std::filesystem::exists("/tmp/headstart-absolute-member"));
  }
  std::string file(const std::string& path) { return read_text_file(out() / path); }
  std::filesystem::path archive() const { return folder_ / "archive"; }
  std::filesystem::path out() const { return folder_ / "out"; }

  TempDir folder_;
  ArchiveOptions options_;
};

const std::vector<TestMember> kPhotos = {{"train/", "", AE_IFDIR},
                                         {"train/cat/1.jpg", "a cat"},
                                         {"train/cat/2.jpg", std::string(5000, 'c')},
                                         {"./test//dog/3.jpg", ""},
                                         {"readme.txt", "photos"}};

// Every record of a zip archive ("PK\1\2…", "PK\3\4…") with a change at `offset` behind its signature.
std::string with_changed_records(std::string zip, std::string_view signature, std::size_t offset, const std::string& value) {
  for (std::size_t at = 0; (at = zip.find(signature, at)) != std::string::npos; at += signature.size())
    zip.replace(at + offset, value.size(), value);
  return zip;
}

TEST_F(Unpack, TakesAllThreeFormatsByTheirContent) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kStoredZip, TestArchive::kTar, TestArchive::kTarGz}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const Unpacked unpacked = unpack(make_archive(kind, kPhotos));
    EXPECT_EQ(unpacked.files, 4);
    EXPECT_EQ(unpacked.bytes, 5011);
    EXPECT_EQ(names_in(out()), (Names{"readme.txt", "test", "train"}));
    EXPECT_EQ(file("train/cat/1.jpg"), "a cat");
    EXPECT_EQ(file("train/cat/2.jpg"), std::string(5000, 'c'));
    EXPECT_EQ(file("test/dog/3.jpg"), "");
  }
}

TEST_F(Unpack, TellsHowFarItIs) {
  std::vector<std::pair<std::int64_t, std::int64_t>> calls;
  options_.on_unpack = [&](std::int64_t done, std::int64_t total) { calls.emplace_back(done, total); };
  const std::string bytes = make_archive(TestArchive::kStoredZip, {{"a", sample_bytes(3 << 20)}, {"b", "b"}});
  unpack(bytes);
  ASSERT_GE(calls.size(), 4U);
  EXPECT_TRUE(std::is_sorted(calls.begin(), calls.end()));
  EXPECT_EQ(calls.back().second, static_cast<std::int64_t>(bytes.size()));
  EXPECT_GT(calls.back().first, 3 << 20);
  EXPECT_LE(calls.back().first, calls.back().second);
}

TEST_F(Unpack, StopsWhenAsked) {
  int asked = 0;
  options_.should_stop = [&] { return ++asked > 2; };
  error_of([&] { unpack(make_archive(TestArchive::kTar, kPhotos)); }, ErrorCategory::kInterrupted);
}

TEST_F(Unpack, RefusesPathsThatLeadOut) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar, TestArchive::kTarGz}) {
    for (const std::string name : {"../outside", "train/../../outside", "train/..", "..", "a/b/../c"}) {
      const std::string message = refusal(make_archive(kind, {{"a", "b"}, {name, "evil"}}));
      expect_contains(message, "its member '" + name + "' would land outside the folder");
      expect_nothing_outside();
    }
    const std::string absolute = "/tmp/headstart-absolute-member";
    expect_contains(refusal(make_archive(kind, {{absolute, "evil"}})), "'" + absolute + "' has an absolute path");
    expect_nothing_outside();
    expect_contains(refusal(make_archive(kind, {{"../folder/", "", AE_IFDIR}})), "outside");
    expect_nothing_outside();
  }
}

TEST_F(Unpack, RefusesLinks) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar}) {
    // The classic: a link out, then a file through it.
    const std::string message = refusal(make_archive(kind, {{"link", "", AE_IFLNK, ".."}, {"link/outside", "evil"}}));
    expect_contains(message, "its member 'link' is a link");
    expect_nothing_outside();
  }
  expect_contains(refusal(make_archive(TestArchive::kTar, {{"hard", "", AE_IFREG, "/etc/passwd"}})), "'hard' is a link");
  expect_contains(refusal(make_archive(TestArchive::kTar, {{"a", "a"}, {"hard", "", AE_IFREG, "a"}})), "'hard' is a link");
}

TEST_F(Unpack, RefusesDevicesAndPipes) {
  for (const unsigned type : {AE_IFCHR, AE_IFBLK, AE_IFIFO}) {
    expect_contains(refusal(make_archive(TestArchive::kTar, {{"special", "", type}})), "'special' is neither a file nor a folder");
  }
}

TEST_F(Unpack, RefusesMembersThatAreThereTwice) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar}) {
    expect_contains(refusal(make_archive(kind, {{"a/1.jpg", "one"}, {"a//1.jpg", "two"}})), "'a//1.jpg' is there twice");
    expect_contains(refusal(make_archive(kind, {{"a", "file"}, {"a/1.jpg", "below it"}})), "'a/1.jpg' needs a folder where a file is");
    expect_contains(refusal(make_archive(kind, {{"a/1.jpg", "below it"}, {"a", "file"}})), "'a' is there twice");
    EXPECT_NO_THROW(unpack(make_archive(kind, {{"a/", "", AE_IFDIR}, {"a/1.jpg", "one"}, {"a/", "", AE_IFDIR}})));
  }
}

TEST_F(Unpack, RefusesEncryptedMembers) {
  expect_contains(refusal(make_archive(TestArchive::kEncryptedZip, {{"secret.jpg", "photo"}})), "'secret.jpg' is encrypted");
}

TEST_F(Unpack, RefusesAbsurdPaths) {
  std::string deep;
  for (int i = 0; i < 32; ++i) deep += "d/";
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar}) {
    expect_contains(refusal(make_archive(kind, {{deep + "x", "x"}})), "33 folders deep, at most 32");
    EXPECT_NO_THROW(unpack(make_archive(kind, {{deep.substr(2) + "x", "x"}})));
    expect_contains(refusal(make_archive(kind, {{std::string(256, 'n'), "x"}})), "a name of 256 bytes, at most 255");
    std::string wide;
    for (int i = 0; i < 6; ++i) wide += std::string(200, 'w') + "/";
    expect_contains(refusal(make_archive(kind, {{wide + "x", "x"}})), "a path of 1207 bytes, at most 1024");
  }
}

TEST_F(Unpack, RefusesTooMuch) {
  const std::string bytes = make_archive(TestArchive::kTar, kPhotos);
  options_.limits.members = 4;
  expect_contains(refusal(bytes), "more than 4 members");
  options_.limits.members = 5;
  EXPECT_NO_THROW(unpack(bytes));
  options_.limits.bytes = 5010;
  expect_contains(refusal(bytes), "more than 5.0 kB in all");
  options_.limits.bytes = 5011;
  EXPECT_NO_THROW(unpack(bytes));
}

TEST_F(Unpack, RefusesBombsBeforeTheyGoOff) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTarGz}) {
    const std::string bomb = make_archive(kind, {{"zeros", std::string(80 << 20, '\0')}});
    ASSERT_LT(bomb.size(), 200'000U);
    expect_contains(refusal(bomb), "more than 100 times as much");
    EXPECT_EQ(names_in(out()), Names{}) << "the announced size was enough to refuse it";
  }
}

// Sizes in the directory are what the archive's author likes: what counts is what comes out.
TEST_F(Unpack, RefusesBombsThatLieAboutTheirSize) {
  std::string bomb = make_archive(TestArchive::kZip, {{"zeros", std::string(80 << 20, '\0')}});
  const std::string small("\x10\0\0\0", 4);
  bomb = with_changed_records(bomb, std::string_view("PK\x01\x02", 4), 24, small);
  expect_contains(refusal(bomb), "");
  EXPECT_LE(std::filesystem::exists(out() / "zeros") ? std::filesystem::file_size(out() / "zeros") : 0, 65U << 20);
}

TEST_F(Unpack, RefusesWhatIsNoArchive) {
  for (const std::string& bytes :
       {std::string(), std::string("hello"), sample_bytes(100'000), std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10)}) {
    expect_contains(refusal(bytes), folder_.path().string());
  }
  expect_contains(refusal("<html>not found</html>"), "it is no zip, tar.gz or tar archive");
  error_of([&] { unpack_archive(folder_ / "absent", out(), options_); }, ErrorCategory::kFile);
}

// Cut anywhere, an archive is refused: never a part of the photos taken for all.
TEST_F(Unpack, RefusesCutArchives) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar, TestArchive::kTarGz}) {
    const std::string whole = make_archive(kind, kPhotos);
    // A tar archive is complete with the first of its two blocks of zeros.
    const std::size_t end = kind == TestArchive::kTar ? whole.size() - 1024 : whole.size() - 1;
    for (std::size_t size = 0; size <= end; size += kind == TestArchive::kTar ? 256 : 7) {
      SCOPED_TRACE(size);
      refusal(whole.substr(0, size));
    }
    refusal(whole.substr(0, end));
  }
}

TEST_F(Unpack, RefusesDamagedContents) {
  std::string stored = make_archive(TestArchive::kStoredZip, {{"a.jpg", "a photo of a cat"}});
  stored[stored.find("photo")] = 'P';
  expect_contains(refusal(stored), "its member 'a.jpg' cannot be read");
}

TEST_F(Unpack, KeepsNamesAsTheyAre) {
  const std::string utf8 = "Hund/\xc3\xa4\xe6\x97\xa5.jpg";
  const std::string latin1 = "Hund/\xe4.jpg";
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar}) {
    unpack(make_archive(kind, {{utf8, "utf-8"}, {latin1, "other bytes"}, {"back\\slash", "x"}, {"line\nend", "y"}}));
    EXPECT_EQ(file(utf8), "utf-8");
    EXPECT_EQ(file(latin1), "other bytes");
    EXPECT_EQ(file("line\nend"), "y");
  }
  // Marked as UTF-8 (bit 11 of the flags), as most programs write them.
  const std::string plain = make_archive(TestArchive::kZip, {{utf8, "utf-8"}});
  const std::string flag("\x08\x08", 2);  // sizes behind the contents, and UTF-8
  const auto marked = [&](const std::string& zip) {
    return with_changed_records(with_changed_records(zip, std::string_view("PK\x01\x02", 4), 8, flag), std::string_view("PK\x03\x04", 4), 6,
                                flag);
  };
  ASSERT_NE(marked(plain), plain);
  unpack(marked(plain));
  EXPECT_EQ(file(utf8), "utf-8");
  // A mark that lies must not stop us from telling the member apart from others: refused or kept, never renamed.
  try {
    unpack(marked(make_archive(TestArchive::kZip, {{latin1, "other bytes"}})));
    EXPECT_EQ(file(latin1), "other bytes");
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kData);
  }
}

TEST_F(Unpack, LeavesOutMacOsForks) {
  const Unpacked unpacked = unpack(make_archive(TestArchive::kZip, {{"a/1.jpg", "one"}, {"__MACOSX/a/._1.jpg", "fork"}}));
  EXPECT_EQ(unpacked.files, 1);
  EXPECT_EQ(names_in(out()), Names{"a"});
}

TEST_F(Unpack, MemberNamesInMessagesAreShort) {
  const std::string message = refusal(make_archive(TestArchive::kTar, {{std::string(100'000, 'x'), "x"}}));
  expect_contains(message, "a path of 100000 bytes");
  EXPECT_LT(message.size(), 1000U);
}

// Inputs that once failed, or that the fuzzer starts from.
TEST_F(Unpack, ReplaysTheCorpus) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/corpus/archive")) {
    SCOPED_TRACE(entry.path());
    ++files;
    try {
      unpack(read_text_file(entry.path()));
    } catch (const Error& error) {
      EXPECT_TRUE(error.category() == ErrorCategory::kData || error.category() == ErrorCategory::kFile) << error.what();
    }
    expect_nothing_outside();
  }
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace headstart::test
