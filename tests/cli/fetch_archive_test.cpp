// headstart fetch of archives: the folder, the hashes, and what is refused.
#include "cli/fixture.h"
#include "support/archive_builder.h"
#include "unit/fetch/http_server.h"

namespace headstart::test {
namespace {

class FetchArchive : public ::testing::Test {
 protected:
  FetchArchive() {
    write_archive(folder_ / "birds.zip", TestArchive::kZip,
                  {{"birds/train/duck/1.ppm", "P6 a duck"}, {"birds/train/owl/1.ppm", "P6 an owl"}});
  }
  Outcome fetch(const std::vector<std::string>& arguments) {
    return run(joined({"fetch"}, arguments),
               {.environment = {{"HEADSTART_CACHE", (folder_ / "cache").string()}}, .folder = folder_.path().string()});
  }
  void expect_refused(const std::vector<std::string>& arguments, ErrorCategory category, const std::string& message) {
    const Outcome outcome = fetch(arguments);
    EXPECT_EXIT_CODE(outcome, category);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(says(outcome.err, message));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "data"));
  }
  TempDir folder_;
};

TEST_F(FetchArchive, FromAFileWithItsHashShownWhenNoneIsGiven) {
  const Outcome outcome = fetch({"birds.zip"});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.out, "data/birds\n");
  EXPECT_TRUE(says(outcome.err, "2 files"));
  EXPECT_EQ(text_of(folder_ / "data/birds/train/owl/1.ppm"), "P6 an owl");
  const std::size_t hash = outcome.err.find("--sha256 ");
  ASSERT_NE(hash, std::string::npos) << outcome.err;
  const std::string sha256 = outcome.err.substr(hash + 9, 64);
  const Outcome again = fetch({"birds.zip", "--sha256", sha256});
  EXPECT_EXIT_CODE(again, 0);
  EXPECT_EQ(again.out, "data/birds\n");
  EXPECT_TRUE(says(again.err, "here already"));
  EXPECT_EQ(again.err.find("not verified"), std::string::npos);
  const Outcome elsewhere = fetch({"birds.zip", "--sha256", sha256, "--to", "photos/of/birds", "--quiet"});
  EXPECT_EXIT_CODE(elsewhere, 0);
  EXPECT_EQ(elsewhere.out, "photos/of/birds\n");
  EXPECT_EQ(elsewhere.err, "");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "photos/of/birds/train/duck/1.ppm"));
}

TEST_F(FetchArchive, FromAnAddress) {
  const HttpServer server(serve_file(text_of(folder_ / "birds.zip")));
  const Outcome outcome =
      run({"fetch", server.url("/some/birds.zip?x=1")}, {.environment = {{"no_proxy", "127.0.0.1"}}, .folder = folder_.path().string()});
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.out, "data/birds\n");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "data/birds/train/duck/1.ppm"));
}

TEST_F(FetchArchive, RefusesAWrongHashNamingBoth) {
  const std::string wrong(64, 'a');
  expect_refused({"birds.zip", "--sha256", wrong}, ErrorCategory::kNetwork, "expected " + wrong);
  expect_refused({"birds.zip", "--sha1", std::string(40, 'a')}, ErrorCategory::kNetwork, "its SHA-1 is ");
  // The chapter's photos are these and no others.
  expect_refused({"hotdog", "--from", "birds.zip"}, ErrorCategory::kNetwork, "fba480ffa8aa7e0febbb511d181409f899b9baa5");
}

TEST_F(FetchArchive, RefusesWhatIsNoArchiveAndWhatLeadsOut) {
  write_text(folder_ / "page.zip", "<html>log in first</html>");
  expect_refused({"page.zip"}, ErrorCategory::kData, "no zip, tar.gz or tar archive");
  write_archive(folder_ / "evil.tar.gz", TestArchive::kTarGz, {{"../../evil\x1b[2J", "evil"}});
  expect_refused({"evil.tar.gz"}, ErrorCategory::kData, "'../../evil\\x1b[2J' would land outside");
  expect_refused({"absent.zip"}, ErrorCategory::kFile, "absent.zip");
}

TEST_F(FetchArchive, RefusesAFolderThatHoldsSomethingElse) {
  write_text(folder_ / "mine/notes.txt", "mine");
  expect_refused({"birds.zip", "--to", "mine"}, ErrorCategory::kFile, "holds other files already");
  EXPECT_EQ(text_of(folder_ / "mine/notes.txt"), "mine");
}

TEST_F(FetchArchive, RefusesOptionsThatMeanNothing) {
  expect_refused({"birds.zip", "--sha1", "12ab"}, ErrorCategory::kUsage, "--sha1: expected 40 hex digits");
  expect_refused({"birds.zip", "--sha256", std::string(64, 'g')}, ErrorCategory::kUsage, "--sha256: expected 64 hex digits");
  expect_refused({"birds.zip", "--sha1", std::string(40, 'a'), "--sha256", std::string(64, 'a')}, ErrorCategory::kUsage, "--sha1");
  expect_refused({"birds.zip", "--from", "x"}, ErrorCategory::kUsage, "--from");
  expect_refused({"birds.zip", "--cache", "x"}, ErrorCategory::kUsage, "--cache");
  expect_refused({"hotdog", "--sha1", std::string(40, 'a')}, ErrorCategory::kUsage, "the hash of hotdog is known");
  expect_refused({"resnet18", "--to", "x"}, ErrorCategory::kUsage, "--to");
  expect_refused({"resnet18", "--sha256", std::string(64, 'a')}, ErrorCategory::kUsage, "--sha256");
  expect_refused({"hotdgo"}, ErrorCategory::kUsage, "did you mean hotdog?");
}

}  // namespace
}  // namespace headstart::test
