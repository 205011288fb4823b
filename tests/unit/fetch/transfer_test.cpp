#include "fetch/transfer.h"

#include <gtest/gtest.h>

#include <atomic>

#include "fetch_testing.h"

namespace headstart::test {
namespace {

class Transfer : public testing::Test {
 protected:
  void fetch(const std::string& url, const std::string& digest, const FetchOptions& options = {}, const TransferLimits& limits = quick()) {
    transfer(url, target(), ExpectedDigest(digest), options, limits);
  }
  std::filesystem::path target() const { return folder_ / "file"; }
  Names names() const { return names_in(folder_.path()); }
  // What an interrupted run leaves.
  void leave_part(const std::string& bytes, const std::string& url, const std::string& validator) {
    write_file_atomically(folder_ / "file.part", bytes);
    write_file_atomically(folder_ / "file.part.from", "headstart part 1\n" + url + "\n" + validator + "\n");
  }
  void expect_fetched(const std::string& contents) {
    EXPECT_EQ(names(), Names{"file"});
    EXPECT_TRUE(read_text_file(target()) == contents);
  }

  TempDir folder_;
  std::string contents_ = sample_bytes(300'000);
  std::string digest_ = digest_of(contents_);
};

TEST_F(Transfer, FetchesAFileAndLeavesNothingElse) {
  const HttpServer server(serve_file(contents_));
  fetch(server.url("/a/file.pth?x=1"), digest_);
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().at(0).path, "/a/file.pth?x=1");
  EXPECT_EQ(server.requests().at(0).header("range"), "");
}

TEST_F(Transfer, AcceptsSha1PrefixesCapitalsAndNoDigest) {
  const HttpServer server(serve_file(contents_));
  std::string capitals = digest_;
  std::transform(capitals.begin(), capitals.end(), capitals.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (const std::string& digest : {digest_of(contents_, DigestKind::kSha1), digest_.substr(0, 8), capitals, std::string()}) {
    fetch(server.url("/file"), digest);
    expect_fetched(contents_);
    std::filesystem::remove(target());
  }
  error_of([&] { fetch(server.url("/file"), "xyz"); }, ErrorCategory::kUsage);
  error_of([&] { fetch(server.url("/file"), digest_ + "0"); }, ErrorCategory::kUsage);
}

TEST_F(Transfer, ATargetThatIsRightAlreadyCostsNoRequest) {
  const HttpServer server(serve_file(contents_));
  write_file_atomically(target(), contents_);
  fetch(server.url("/file"), digest_);
  EXPECT_TRUE(server.requests().empty());
  write_file_atomically(target(), "old");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
}

TEST_F(Transfer, AnEmptyFileIsAFile) {
  const HttpServer server(serve_file(""));
  fetch(server.url("/file"), digest_of(""));
  expect_fetched("");
}

TEST_F(Transfer, GoesOnWhereItStopped) {
  const HttpServer server(serve_file(contents_));
  leave_part(contents_.substr(0, 100'000), server.url("/file"), "\"v1\"");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(server.requests()[0].header("range"), "bytes=100000-");
  EXPECT_EQ(server.requests()[0].header("if-range"), "\"v1\"");
}

TEST_F(Transfer, AServerThatIgnoresTheRangeSendsTheWholeFile) {
  const HttpServer server([&](const Request&, const Reply& reply) { reply.answer("200 OK", "", contents_); });
  leave_part("wrong beginning", server.url("/file"), "");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().at(0).header("range"), "bytes=15-");
}

TEST_F(Transfer, AChangedFileIsFetchedAnew) {
  const HttpServer server(serve_file(contents_, "\"v2\""));
  leave_part("of the old version", server.url("/file"), "\"v1\"");
  fetch(server.url("/file"), "");
  expect_fetched(contents_);
}

TEST_F(Transfer, APartFromElsewhereIsNotUsed) {
  const HttpServer server(serve_file(contents_));
  leave_part("of another address", server.url("/other"), "\"v1\"");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().at(0).header("range"), "");
  // Without a note of its origin, too.
  std::filesystem::remove(target());
  write_file_atomically(folder_ / "file.part", "of unknown origin");
  write_file_atomically(folder_ / "file.part.from", "garbage");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
}

TEST_F(Transfer, WithoutValidatorAndDigestNothingIsResumed) {
  const HttpServer server(serve_file(contents_));
  leave_part("unverifiable", server.url("/file"), "");
  fetch(server.url("/file"), "");
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().at(0).header("range"), "");
}

TEST_F(Transfer, HalvesOfTwoVersionsAreNoticedAndFetchedAnew) {
  const HttpServer server(serve_file(contents_));
  leave_part(std::string(1000, 'x'), server.url("/file"), "");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST_F(Transfer, APartThatIsWholeIsTaken) {
  const HttpServer server(serve_file(contents_));
  leave_part(contents_, server.url("/file"), "\"v1\"");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(Transfer, APartThatIsTooLongIsFetchedAnew) {
  const HttpServer server(serve_file(contents_));
  leave_part(contents_ + "more", server.url("/file"), "\"v1\"");
  fetch(server.url("/file"), "");
  expect_fetched(contents_);
}

TEST_F(Transfer, AnAnswerWithAnotherRangeIsNotAppended) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return reply.answer("206 Partial Content", "Content-Range: bytes 0-299999/300000\r\n", contents_);
    reply.answer("200 OK", "", contents_);
  });
  leave_part(contents_.substr(0, 1000), server.url("/file"), "\"v1\"");
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
}

TEST_F(Transfer, AConnectionCutInTheMiddleIsResumed) {
  std::atomic<int> cuts = 0;
  const HttpServer server([&](const Request& request, const Reply& reply) {
    const std::size_t start = request.range_start();
    const std::size_t size = contents_.size();
    const std::string range =
        "Content-Range: bytes " + std::to_string(start) + "-" + std::to_string(size - 1) + "/" + std::to_string(size) + "\r\n";
    reply.send((start > 0 ? "HTTP/1.1 206 Partial Content\r\n" + range : std::string("HTTP/1.1 200 OK\r\n")) +
               "Content-Length: " + std::to_string(size - start) + "\r\nConnection: close\r\n\r\n");
    const std::size_t length = cuts++ < 2 ? 100'000 : size - start;
    reply.send(std::string_view(contents_).substr(start, length));
  });
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  ASSERT_EQ(server.requests().size(), 3U);
  EXPECT_EQ(server.requests()[1].header("range"), "bytes=100000-");
  EXPECT_EQ(server.requests()[2].header("range"), "bytes=200000-");
}

TEST_F(Transfer, AConnectionThatIsAlwaysCutEndsAndKeepsWhatItBrought) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return;  // hangs up without an answer
    reply.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + contents_.substr(0, 5000));
  });
  const std::string message = error_of([&] { fetch(server.url("/file"), digest_); });
  expect_contains(message, "4 attempts");
  expect_contains(message, "5000 bytes are kept");
  EXPECT_EQ(server.requests().size(), 4U);
  EXPECT_EQ(names(), (Names{"file.part", "file.part.from"}));
}

TEST_F(Transfer, ChunkedAnswersCutShortAreNotTakenForWhole) {
  const HttpServer server(
      [&](const Request&, const Reply& reply) { reply.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"); });
  error_of([&] { fetch(server.url("/file"), ""); });
}

TEST_F(Transfer, AnAnswerWithoutLengthIsJudgedByTheExpectedSize) {
  const HttpServer server([&](const Request&, const Reply& reply) { reply.send("HTTP/1.0 200 OK\r\n\r\n" + contents_.substr(0, 9)); });
  TransferLimits limits = quick();
  limits.expected_bytes = contents_.size();
  limits.attempts = 2;
  expect_contains(error_of([&] { fetch(server.url("/file"), "", {}, limits); }), "after 9 of 300000 bytes");
}

TEST_F(Transfer, AFileOfAnotherSizeIsRefusedBeforeItIsFetched) {
  const HttpServer server(serve_file(contents_));
  TransferLimits limits = quick();
  limits.expected_bytes = 1000;
  expect_contains(error_of([&] { fetch(server.url("/file"), digest_, {}, limits); }), "offers 300000 bytes, expected 1000");
  EXPECT_EQ(names(), Names{});
}

TEST_F(Transfer, AStreamLongerThanExpectedIsStopped) {
  const HttpServer server([&](const Request&, const Reply& reply) { reply.send("HTTP/1.0 200 OK\r\n\r\n" + contents_); });
  TransferLimits limits = quick();
  limits.expected_bytes = 1000;
  expect_contains(error_of([&] { fetch(server.url("/file"), digest_, {}, limits); }), "more than the 1000 bytes");
}

TEST_F(Transfer, RedirectsAreFollowed) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.path == "/file") return reply.answer("302 Found", "Location: /moved\r\nETag: \"of the redirect\"\r\n", "moved");
    serve_file(contents_)(request, reply);
  });
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
}

TEST_F(Transfer, RedirectsInACircleEnd) {
  const HttpServer server(
      [](const Request& request, const Reply& reply) { reply.answer("302 Found", "Location: " + request.path + "x\r\n", ""); });
  expect_contains(error_of([&] { fetch(server.url("/file"), ""); }), "redirects");
  EXPECT_EQ(server.requests().size(), 11U);
  EXPECT_EQ(names(), Names{});
}

TEST_F(Transfer, AServerCannotRedirectToLocalFiles) {
  write_file_atomically(folder_ / "secret", "secret");
  const HttpServer server([&](const Request&, const Reply& reply) {
    reply.answer("302 Found", "Location: file://" + (folder_ / "secret").string() + "\r\n", "");
  });
  error_of([&] { fetch(server.url("/file"), ""); });
  EXPECT_EQ(names(), Names{"secret"});
}

TEST_F(Transfer, AMissingFileIsNotRetried) {
  const HttpServer server([](const Request&, const Reply& reply) { reply.answer("404 Not Found", "", "<html>not here</html>"); });
  expect_contains(error_of([&] { fetch(server.url("/file"), digest_); }), "status 404");
  EXPECT_EQ(server.requests().size(), 1U);
  EXPECT_EQ(names(), Names{});
}

TEST_F(Transfer, ABusyServerIsAskedAgain) {
  std::atomic<int> asked = 0;
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (asked++ < 2) return reply.answer("503 Service Unavailable", "", "busy");
    serve_file(contents_)(request, reply);
  });
  fetch(server.url("/file"), digest_);
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().size(), 3U);
}

TEST_F(Transfer, AStalledConnectionIsGivenUp) {
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return serve_file(contents_)(request, reply);
    reply.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + contents_.substr(0, 1000));
    reply.stall();
  });
  TransferLimits limits = quick();
  limits.stall_bytes_per_s = 1'000'000;  // libcurl averages over five seconds: with the real limit of 1 the test would wait for them
  fetch(server.url("/file"), digest_, {}, limits);
  expect_fetched(contents_);
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[1].header("range"), "bytes=1000-");
}

TEST_F(Transfer, NobodyListeningIsAnError) {
  std::string url;
  {
    const HttpServer server(serve_file(""));
    url = server.url("/file");
  }
  expect_contains(error_of([&] { fetch(url, digest_); }), url);
  EXPECT_EQ(names(), Names{});
}

TEST_F(Transfer, AWrongFileIsNamedByBothDigestsAndNotKept) {
  const HttpServer server(serve_file(contents_));
  const std::string wrong(64, '0');
  const std::string message = error_of([&] { fetch(server.url("/file"), wrong); });
  expect_contains(message, digest_);
  expect_contains(message, wrong);
  EXPECT_EQ(names(), Names{});
  expect_contains(error_of([&] { fetch(server.url("/file"), "00000000"); }), "a beginning of 00000000");
  expect_contains(error_of([&] { fetch(server.url("/file"), std::string(40, '0')); }), digest_of(contents_, DigestKind::kSha1));
}

TEST_F(Transfer, AWrongFileLeavesTheOldTargetAlone) {
  const HttpServer server(serve_file(contents_));
  write_file_atomically(target(), "old");
  error_of([&] { fetch(server.url("/file"), std::string(64, '0')); });
  EXPECT_EQ(read_text_file(target()), "old");
}

TEST_F(Transfer, AStopKeepsThePartAndTheNextRunGoesOn) {
  std::atomic<bool> stop = false;
  const HttpServer server([&](const Request& request, const Reply& reply) {
    if (request.range_start() > 0) return serve_file(contents_)(request, reply);
    reply.send("HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 300000\r\n\r\n" + contents_.substr(0, 50'000));
    stop = true;
    reply.stall();
  });
  std::int64_t received = 0;
  FetchOptions options;
  options.on_progress = [&](std::int64_t done, std::int64_t) { received = done; };
  options.should_stop = [&] { return stop && received > 0; };
  error_of([&] { fetch(server.url("/file"), digest_, options); }, ErrorCategory::kInterrupted);
  EXPECT_EQ(names(), (Names{"file.part", "file.part.from"}));
  stop = false;
  fetch(server.url("/file"), digest_, options);
  expect_fetched(contents_);
  EXPECT_GT(server.requests().at(1).range_start(), 0U);
}

TEST_F(Transfer, AStopEndsThePauseBetweenAttempts) {
  const HttpServer server([](const Request&, const Reply& reply) { reply.answer("503 Service Unavailable", "", ""); });
  FetchOptions options;
  options.should_stop = [&] { return !server.requests().empty(); };
  TransferLimits limits = quick();
  limits.first_pause = std::chrono::hours(1);
  error_of([&] { fetch(server.url("/file"), digest_, options, limits); }, ErrorCategory::kInterrupted);
}

TEST_F(Transfer, ProgressCountsWhatWasThereBefore) {
  const HttpServer server(serve_file(contents_));
  leave_part(contents_.substr(0, 100'000), server.url("/file"), "\"v1\"");
  std::vector<std::pair<std::int64_t, std::int64_t>> calls;
  FetchOptions options;
  options.on_progress = [&](std::int64_t done, std::int64_t total) { calls.emplace_back(done, total); };
  fetch(server.url("/file"), digest_, options);
  ASSERT_FALSE(calls.empty());
  EXPECT_GE(calls.front().first, 100'000);
  EXPECT_EQ(calls.back(), (std::pair<std::int64_t, std::int64_t>(300'000, 300'000)));
  EXPECT_TRUE(std::is_sorted(calls.begin(), calls.end()));
}

TEST_F(Transfer, AnExceptionOfACallbackReachesTheCaller) {
  const HttpServer server(serve_file(contents_));
  FetchOptions options;
  options.on_progress = [](std::int64_t, std::int64_t) { throw std::logic_error("mine"); };
  EXPECT_THROW(fetch(server.url("/file"), digest_, options), std::logic_error);
}

TEST_F(Transfer, AFullDiskIsAFileError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "skipped: /dev/full is not there";
  const HttpServer server(serve_file(contents_));
  std::filesystem::create_symlink("/dev/full", folder_ / "file.part");
  expect_contains(error_of([&] { fetch(server.url("/file"), digest_); }, ErrorCategory::kFile), "free some space");
}

TEST_F(Transfer, AFolderThatIsNotThereIsAFileError) {
  const HttpServer server(serve_file(contents_));
  error_of([&] { transfer(server.url("/file"), folder_ / "no/file", ExpectedDigest(""), {}, quick()); }, ErrorCategory::kFile);
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(Transfer, FileAddressesAreCopiedAndVerified) {
  write_file_atomically(folder_ / "source", contents_);
  fetch("file://" + (folder_ / "source").string(), digest_);
  EXPECT_EQ(names(), (Names{"file", "source"}));
  error_of([&] { fetch("file://" + (folder_ / "absent").string(), ""); });
}

TEST_F(Transfer, OtherProtocolsAreRefused) {
  for (const std::string url : {"ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "nonsense://x"}) error_of([&] { fetch(url, ""); });
  EXPECT_EQ(names(), Names{});
}

TEST_F(Transfer, TwoAtOnceFetchOnce) {
  std::atomic<bool> second_waits = false;
  const HttpServer server([&](const Request& request, const Reply& reply) {
    while (!second_waits) std::this_thread::yield();
    serve_file(contents_)(request, reply);
  });
  FetchOptions waiting;
  waiting.should_stop = [&] {
    second_waits = true;  // asked whenever the lock is held by the other
    return false;
  };
  std::thread first([&] { fetch(server.url("/file"), digest_); });
  while (!std::filesystem::exists(folder_ / "file.part")) std::this_thread::yield();
  std::thread second([&] { fetch(server.url("/file"), digest_, waiting); });
  first.join();
  second.join();
  expect_fetched(contents_);
  EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(Transfer, DownloadIsTheSameWithPatience) {
  const HttpServer server(serve_file(contents_));
  download(server.url("/file"), target(), digest_.substr(0, 8));
  expect_fetched(contents_);
}

}  // namespace
}  // namespace headstart::test
