// Archives from their place to their folder.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fetch_testing.h"
#include "headstart/archive.h"
#include "support/archive_builder.h"

namespace headstart::test {
namespace {

class FetchArchive : public testing::Test {
 protected:
  FetchArchive() {
    options_.to = folder_ / "data/photos";
    use({{"photos/train/cat/1.jpg", sample_bytes(150'000)}, {"photos/test/cat/2.jpg", "two"}});
  }
  void use(const std::vector<TestMember>& members, TestArchive kind = TestArchive::kZip) {
    bytes_ = make_archive(kind, members);
    sha1_ = digest_of(bytes_, DigestKind::kSha1);
    sha256_ = digest_of(bytes_);
  }
  FetchedArchive fetch(const std::string& from, const std::string& digest) {
    return fetch_archive(archive_at(from, digest), options_, quick());
  }
  std::string local() {
    write_file_atomically(folder_ / "photos.zip", bytes_);
    return (folder_ / "photos.zip").string();
  }
  void expect_fetched(const FetchedArchive& fetched) {
    EXPECT_EQ(fetched.folder, options_.to);
    EXPECT_EQ(fetched.sha256, sha256_);
    EXPECT_EQ(fetched.sha1, sha1_);
    EXPECT_EQ(fetched.files, 2);
    EXPECT_EQ(fetched.bytes, 150'003);
    EXPECT_EQ(names_in(folder_ / "data"), Names{"photos"});
    EXPECT_EQ(names_in(folder_ / "data/photos"), (Names{".headstart-archive", "test", "train"}));
    EXPECT_TRUE(read_text_file(folder_ / "data/photos/train/cat/1.jpg") == sample_bytes(150'000));
  }
  void expect_nothing_left() { EXPECT_FALSE(std::filesystem::exists(folder_ / "data")) << join(names_in(folder_ / "data")); }
  static std::string join(const Names& names) {
    std::string all;
    for (const std::string& name : names) all += name + " ";
    return all;
  }

  TempDir folder_;
  ArchiveOptions options_;
  std::string bytes_, sha1_, sha256_;
};

TEST_F(FetchArchive, DownloadsVerifiesAndUnpacksOnce) {
  const HttpServer server(serve_file(bytes_));
  for (const std::string& digest : {sha1_, sha256_}) {
    const FetchedArchive fetched = fetch(server.url("/photos.zip?x=1"), digest);
    EXPECT_FALSE(fetched.was_there);
    EXPECT_TRUE(fetched.verified);
    expect_fetched(fetched);
    const FetchedArchive again = fetch(server.url("/photos.zip?x=1"), digest);
    EXPECT_TRUE(again.was_there);
    expect_fetched(again);
    EXPECT_EQ(server.requests().size(), digest == sha1_ ? 1U : 2U);
    std::filesystem::remove_all(options_.to);
  }
}

TEST_F(FetchArchive, TakesAFileOfAnyNameAndFormat) {
  for (const TestArchive kind : {TestArchive::kZip, TestArchive::kTar, TestArchive::kTarGz}) {
    use({{"photos/train/cat/1.jpg", sample_bytes(150'000)}, {"photos/test/cat/2.jpg", "two"}}, kind);
    expect_fetched(fetch(local(), sha256_));
    EXPECT_TRUE(std::filesystem::exists(folder_ / "photos.zip")) << "the person's own file stays";
    std::filesystem::remove_all(options_.to);
  }
}

TEST_F(FetchArchive, WithoutAHashItSaysWhatTheHashIs) {
  const HttpServer server(serve_file(bytes_));
  for (const std::string& from : {server.url("/photos.zip"), local()}) {
    const FetchedArchive fetched = fetch(from, "");
    EXPECT_FALSE(fetched.verified);
    expect_fetched(fetched);
    EXPECT_TRUE(fetch(from, "").was_there);
    std::filesystem::remove_all(options_.to);
  }
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(FetchArchive, AWrongHashIsNamedBesideTheRightOneAndLeavesNothing) {
  const HttpServer server(serve_file(bytes_));
  for (const std::string& from : {server.url("/photos.zip"), local()}) {
    for (const std::string& wrong : {std::string(40, '0'), std::string(64, '0')}) {
      const std::string message = error_of([&] { fetch(from, wrong); });
      expect_contains(message, wrong);
      expect_contains(message, wrong.size() == 40 ? sha1_ : sha256_);
      expect_nothing_left();
    }
  }
}

TEST_F(FetchArchive, ABadArchiveLeavesNothing) {
  use({{"photos/1.jpg", "one"}, {"../outside", "evil"}});
  const HttpServer server(serve_file(bytes_));
  for (const std::string& from : {server.url("/photos.zip"), local()}) {
    for (const std::string& digest : {sha256_, std::string()}) {
      const std::string message = error_of([&] { fetch(from, digest); }, ErrorCategory::kData);
      expect_contains(message, "outside the folder");
      expect_contains(message, from);
      expect_nothing_left();
    }
  }
  use({{"photos/", "", AE_IFDIR}});
  expect_contains(error_of([&] { fetch(local(), ""); }, ErrorCategory::kData), "holds no files");
  expect_nothing_left();
}

TEST_F(FetchArchive, AFolderOfTheArchivesNameIsNotDoubled) {
  const auto entries = [&](const std::string& from, const std::string& to) {
    options_.to = folder_ / to;
    fetch(from, "");
    return names_in(folder_ / to);
  };
  EXPECT_EQ(entries(local(), "data/elsewhere"), (Names{".headstart-archive", "test", "train"})) << "named as the archive";
  use({{"birds/train/1.jpg", "one"}});
  EXPECT_EQ(entries(local(), "data/birds"), (Names{".headstart-archive", "train"})) << "named as the target";
  EXPECT_EQ(entries(local(), "data/other/"), (Names{".headstart-archive", "birds"}));
  use({{"birds/train/1.jpg", "one"}, {"readme.txt", "two"}});
  EXPECT_EQ(entries(local(), "data/more/birds"), (Names{".headstart-archive", "birds", "readme.txt"})) << "not the only one";
  use({{"birds", "a file"}});
  EXPECT_EQ(entries(local(), "data/again/birds"), (Names{".headstart-archive", "birds"}));
  EXPECT_EQ(names_in(folder_ / "data"), (Names{"again", "birds", "elsewhere", "more", "other"})) << "nothing is left beside them";
}

TEST_F(FetchArchive, AFolderThatHoldsSomethingElseIsLeftAlone) {
  std::filesystem::create_directories(options_.to);
  write_file_atomically(options_.to / "mine.txt", "mine");
  expect_contains(error_of([&] { fetch(local(), sha256_); }, ErrorCategory::kFile), "holds other files already");
  EXPECT_EQ(names_in(options_.to), Names{"mine.txt"});
  // An empty one is taken; a file is not.
  std::filesystem::remove(options_.to / "mine.txt");
  expect_fetched(fetch(local(), sha256_));
  options_.to = options_.to / "test/cat/2.jpg";
  expect_contains(error_of([&] { fetch(local(), sha256_); }, ErrorCategory::kFile), "is no folder");
}

TEST_F(FetchArchive, AnotherArchiveInTheFolderIsLeftAlone) {
  fetch(local(), "");
  const std::string before = sha256_;
  use({{"photos/train/dog/1.jpg", "a dog"}});
  for (const std::string& digest : {std::string(), sha256_, sha1_}) {
    expect_contains(error_of([&] { fetch(local(), digest); }, ErrorCategory::kFile), before);
  }
  const HttpServer server(serve_file(bytes_));
  error_of([&] { fetch(server.url("/photos.zip"), ""); }, ErrorCategory::kFile);
  EXPECT_TRUE(server.requests().empty());
  EXPECT_EQ(names_in(options_.to / "train"), Names{"cat"});
}

TEST_F(FetchArchive, WhatAKilledRunLeftIsReplaced) {
  std::filesystem::create_directories(folder_ / "data/.photos.unpacking/photos/train");
  write_file_atomically(folder_ / "data/.photos.unpacking/photos/train/half.jpg", "half");
  write_file_atomically(folder_ / "data/.photos.lock", "");
  expect_fetched(fetch(local(), sha256_));
}

TEST_F(FetchArchive, AnArchivesOwnMarkerIsNotBelieved) {
  use({{"photos/.headstart-archive", "headstart archive 1\nfrom x\nsha256 " + std::string(64, '0') + "\n"}, {"photos/1.jpg", "one"}});
  EXPECT_EQ(fetch(local(), "").sha256, sha256_);
  EXPECT_EQ(fetch(local(), "").sha256, sha256_);
}

TEST_F(FetchArchive, AStopWhileUnpackingKeepsTheVerifiedDownload) {
  const HttpServer server(serve_file(bytes_));
  bool unpacking = false;
  options_.on_unpack = [&](std::int64_t, std::int64_t) { unpacking = true; };
  options_.should_stop = [&] { return unpacking; };
  error_of([&] { fetch(server.url("/photos.zip"), sha256_); }, ErrorCategory::kInterrupted);
  EXPECT_EQ(names_in(folder_ / "data"), Names{".photos.download"});
  options_.should_stop = {};
  expect_fetched(fetch(server.url("/photos.zip"), sha256_));
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(FetchArchive, AStoppedDownloadGoesOn) {
  std::atomic<bool> stop = false;
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return serve_file(bytes_)(request, reply);
    reply.send("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: " + std::to_string(bytes_.size()) + "\r\n\r\n" +
               bytes_.substr(0, 50'000));
    stop = true;
    reply.stall();
  });
  std::int64_t received = 0;
  options_.on_download = [&](std::int64_t done, std::int64_t) { received = done; };
  options_.should_stop = [&] { return stop && received > 0; };
  error_of([&] { fetch(server.url("/photos.zip"), sha1_); }, ErrorCategory::kInterrupted);
  EXPECT_EQ(names_in(folder_ / "data"), (Names{".photos.download.part", ".photos.download.part.from"}));
  stop = false;
  expect_fetched(fetch(server.url("/photos.zip"), sha1_));
  EXPECT_GT(server.requests().back().range_start(), 0U);
}

TEST_F(FetchArchive, ACutConnectionIsResumed) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return serve_file(bytes_)(request, reply);
    reply.send("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: " + std::to_string(bytes_.size()) + "\r\n\r\n" +
               bytes_.substr(0, 70'000));
  });
  expect_fetched(fetch(server.url("/photos.zip"), sha1_));
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[1].range_start(), 70'000U);
}

TEST_F(FetchArchive, AServerThatRefusesRangesSendsTheWhole) {
  std::atomic<int> asked = 0;
  const HttpServer server([&](const Request&, const Reply& reply) {
    const std::size_t length = asked++ == 0 ? 70'000 : bytes_.size();
    reply.send("HTTP/1.1 200 OK\r\nAccept-Ranges: none\r\nConnection: close\r\nContent-Length: " + std::to_string(bytes_.size()) +
               "\r\n\r\n" + bytes_.substr(0, length));
  });
  expect_fetched(fetch(server.url("/photos.zip"), sha1_));
  EXPECT_EQ(server.requests().size(), 2U);
}

// Without a hash, too: half an archive is never taken for one.
TEST_F(FetchArchive, AWrongLengthIsNotTakenForTheWhole) {
  const HttpServer longer([&](const Request&, const Reply& reply) {
    reply.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bytes_.size() + 10) + "\r\n\r\n" + bytes_);
  });
  error_of([&] { fetch(longer.url("/photos.zip"), ""); });
  EXPECT_FALSE(std::filesystem::exists(options_.to));
  const HttpServer shorter([&](const Request&, const Reply& reply) {
    reply.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(bytes_.size() - 10) + "\r\n\r\n" + bytes_);
  });
  error_of([&] { fetch(shorter.url("/photos.zip"), ""); }, ErrorCategory::kData);
  error_of([&] { fetch(shorter.url("/photos.zip"), sha1_); });
  EXPECT_FALSE(std::filesystem::exists(options_.to));
}

TEST_F(FetchArchive, RedirectsAreFollowed) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.path == "/photos.zip") return reply.answer("301 Moved Permanently", "Location: /elsewhere\r\n", "moved");
    serve_file(bytes_)(request, reply);
  });
  expect_fetched(fetch(server.url("/photos.zip"), sha1_));
}

TEST_F(FetchArchive, ASlowReplyIsGivenUpAndGoneOnWith) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return serve_file(bytes_)(request, reply);
    reply.send("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: " + std::to_string(bytes_.size()) + "\r\n\r\n" + bytes_.substr(0, 1000));
    reply.stall();
  });
  TransferLimits limits = quick();
  limits.stall_bytes_per_s = 10'000;  // curl's mean over seconds falls below that at once
  expect_fetched(fetch_archive(archive_at(server.url("/photos.zip"), sha1_), options_, limits));
  EXPECT_EQ(server.requests().at(1).range_start(), 1000U);
}

TEST_F(FetchArchive, AMissingFileLeavesNothing) {
  const HttpServer server([](const Request&, const Reply& reply) { reply.answer("404 Not Found", "", "<html>no</html>"); });
  expect_contains(error_of([&] { fetch(server.url("/photos.zip"), sha1_); }), "status 404");
  expect_nothing_left();
  error_of([&] { fetch((folder_ / "absent.zip").string(), sha1_); }, ErrorCategory::kFile);
  expect_nothing_left();
}

TEST_F(FetchArchive, AKnownArchiveNamesTheWaysToGetIt) {
  const HttpServer server([](const Request&, const Reply& reply) { reply.answer("403 Forbidden", "", ""); });
  SourceArchive photos = source_archives().front();
  photos.from = server.url("/hotdog.zip");
  const std::string message = error_of([&] { fetch_archive(photos, options_, quick()); });
  expect_contains(message, "headstart fetch hotdog --from FILE|URL");
  expect_contains(message, photos.from);
  // From a file that the person brought.
  options_.from = local();
  photos.digest = sha1_;
  expect_fetched(fetch_archive(photos, options_, quick()));
}

TEST_F(FetchArchive, TwoAtOnceFetchOnce) {
  std::atomic<bool> second_waits = false;
  const HttpServer server([&](const Request& request, const Reply& reply) {
    while (!second_waits) std::this_thread::yield();
    serve_file(bytes_)(request, reply);
  });
  std::thread first([&] { fetch_archive(archive_at(server.url("/photos.zip"), sha1_), options_, quick()); });
  while (!std::filesystem::exists(folder_ / "data/.photos.lock")) std::this_thread::yield();
  ArchiveOptions waiting = options_;
  waiting.should_stop = [&] {
    second_waits = true;
    return false;
  };
  const FetchedArchive second = fetch_archive(archive_at(server.url("/photos.zip"), sha1_), waiting, quick());
  first.join();
  EXPECT_TRUE(second.was_there);
  expect_fetched(second);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST(SourceArchives, TheChaptersPhotosAreKnown) {
  ASSERT_EQ(source_archives().size(), 1U);
  const SourceArchive& hotdog = source_archives().front();
  EXPECT_EQ(hotdog.name, "hotdog");
  EXPECT_EQ(hotdog.digest, "fba480ffa8aa7e0febbb511d181409f899b9baa5");
  EXPECT_EQ(archive_at(hotdog.from).name, "hotdog");
}

TEST(SourceArchives, OthersAreNamedAfterTheirAddress) {
  for (const auto& [from, name] : {std::pair<std::string, std::string>("http://h/a/birds.zip?token=a/b.tar#c", "birds"),
                                   {"birds.tar.gz", "birds"},
                                   {"/a/b/birds.v2.tgz", "birds.v2"},
                                   {"../birds.tar", "birds"},
                                   {"file:///a/birds", "birds"},
                                   {".zip", ".zip"}}) {
    EXPECT_EQ(archive_at(from).name, name) << from;
    EXPECT_EQ(archive_at(from).from, from);
  }
  for (const std::string from : {"", "http://host", "http://host/", "http://host/..", "folder/", "/", ".."}) {
    error_of([&] { archive_at(from); }, ErrorCategory::kUsage);
  }
  error_of([] { archive_at("a.zip", "no hex"); }, ErrorCategory::kUsage);
}

}  // namespace
}  // namespace headstart::test
