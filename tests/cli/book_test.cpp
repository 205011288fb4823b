// headstart book: both runs, the printed lines, the report, and going on where it stopped.
#include "cli/fixture.h"
#include "unit/fetch/http_server.h"

namespace headstart::test {
namespace {

std::vector<std::string> tiny_book(const std::filesystem::path& photos, const std::filesystem::path& out) {
  return {"book",
          "--data",
          photos.string(),
          "--weights",
          weights_file().string(),
          "--out",
          out.string(),
          "--epochs",
          "2",
          "--batch-size",
          "8",
          "--threads",
          "1",
          "--device",
          "cpu"};
}

TEST(Book, SetsFineTunedBesideFromScratch) {
  const TempDir folder;
  make_tiny_dataset(folder / "photos/train", 2, 6);
  make_tiny_dataset(folder / "photos/test", 2, 3, 9);
  const Outcome outcome = run(tiny_book(folder / "photos", folder / "out"));
  EXPECT_EXIT_CODE(outcome, 0);
  for (const char* const text : {"loss ", "train acc ", "test acc ", "examples/sec on [cpu]", "fine-tuned", "from scratch", "book.html"}) {
    EXPECT_TRUE(says(outcome.out, text));
  }
  EXPECT_TRUE(says(outcome.err, "12 to train, 6 to test after every epoch"));
  EXPECT_TRUE(says(text_of(folder / "out/book.html"), "from scratch"));
  EXPECT_TRUE(says(text_of(folder / "out/scratch-seed0/figure.svg"), "<svg"));
  EXPECT_TRUE(text_of(folder / "out/scratch-seed0/figure.png").starts_with("\x89PNG"));
  const nlohmann::json tuned = nlohmann::json::parse(text_of(folder / "out/finetuned-seed0/run.json"));
  EXPECT_EQ(tuned["options"]["recipe"], "book-pytorch");
  EXPECT_EQ(tuned["options"]["lr"], 5e-5);
  EXPECT_EQ(tuned["best_epoch"], 2);
  const nlohmann::json scratch = nlohmann::json::parse(text_of(folder / "out/scratch-seed0/run.json"));
  EXPECT_EQ(scratch["options"]["scratch"], true);
  EXPECT_EQ(scratch["options"]["lr"], 5e-4);
  // A second call trains nothing again and prints the same.
  const Outcome again = run(tiny_book(folder / "photos", folder / "out"));
  EXPECT_EXIT_CODE(again, 0);
  EXPECT_EQ(again.out, outcome.out);
}

TEST(Book, NeedsATestFolder) {
  const TempDir folder;
  const Outcome outcome = run(tiny_book(photos_folder(), folder / "out"));
  EXPECT_EXIT_CODE(outcome, exit_code(ErrorCategory::kData));
  EXPECT_TRUE(says(outcome.err, "no test folder"));
}

// The chapter's folder by default, as it is: nothing is fetched then.
TEST(Book, TakesTheChaptersFolder) {
  const TempDir folder;
  make_tiny_dataset(folder / "data/hotdog", 2, 4);
  std::vector<std::string> options = tiny_book("", folder / "out");
  options.erase(options.begin() + 1, options.begin() + 3);
  const Outcome outcome = run(options, {.folder = folder.path().string()});
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kData);
  EXPECT_TRUE(says(outcome.err, "data/hotdog"));
  EXPECT_TRUE(says(outcome.err, "no test folder"));
}

TEST(Book, SaysWhatToDoWithoutPhotosAndNetwork) {
  const TempDir folder;
  // In place of the network: a proxy that refuses everything.
  const HttpServer proxy([](const Request&, const Reply& reply) { reply.answer("403 Forbidden", "", ""); });
  const Outcome outcome = run({"book"}, {.environment = {{"http_proxy", proxy.url("")}}, .folder = folder.path().string()});
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kNetwork);
  for (const char* const way : {"\n  2. from a file that you brought, or a mirror:  headstart fetch hotdog --from FILE|URL\n",
                                "headstart book --data PHOTOS", "hotdog.zip"})
    EXPECT_TRUE(says(outcome.err, way));
  ASSERT_EQ(proxy.requests().size(), 1U);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Book, RefusesOtherOptionsForRunsThatAreThere) {
  const TempDir folder;
  make_tiny_dataset(folder / "photos/train", 2, 4);
  make_tiny_dataset(folder / "photos/test", 2, 2, 9);
  std::vector<std::string> options = tiny_book(folder / "photos", folder / "out");
  EXPECT_EXIT_CODE(run(options), 0);
  const Outcome outcome = run(joined({"book", "--track", "gluon"}, std::vector<std::string>(options.begin() + 1, options.end())));
  EXPECT_EXIT_CODE(outcome, exit_code(ErrorCategory::kUsage));
  EXPECT_TRUE(says(outcome.err, "recipe"));
}

}  // namespace
}  // namespace headstart::test
