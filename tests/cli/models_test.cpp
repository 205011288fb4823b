// headstart models and headstart fetch.
#include "headstart/models.h"

#include "cli/fixture.h"
#include "support/shared_data.h"

namespace headstart::test {
namespace {

class Models : public ::testing::Test {
 protected:
  Streams streams() const { return {.environment = {{"HEADSTART_CACHE", (folder_ / "cache").string()}}}; }
  bool cache_is_empty() const {
    return !std::filesystem::exists(folder_ / "cache/models") || std::filesystem::is_empty(folder_ / "cache/models");
  }
  TempDir folder_;
};

TEST_F(Models, AreListedWithTheDefaultFirst) {
  const Outcome outcome = run({"models"}, streams());
  EXPECT_EXIT_CODE(outcome, 0);
  const std::vector<std::string> lines = lines_of(outcome.out);
  ASSERT_GE(lines.size(), 2U);
  EXPECT_TRUE(says(lines[1], "efficientnet_lite0"));
  EXPECT_TRUE(says(lines[1], "(default)"));
  EXPECT_TRUE(says(outcome.out, "resnet50"));
  EXPECT_TRUE(says(outcome.err, (folder_ / "cache").string()));
}

TEST_F(Models, AreListedAsJson) {
  const Outcome outcome = run({"models", "--json"}, streams());
  EXPECT_EXIT_CODE(outcome, 0);
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_GE(json.size(), 8U);
  EXPECT_EQ(json[0]["default"], true);
  for (const auto& model : json) {
    EXPECT_EQ(model["cached"], false);
    EXPECT_NE(model["licence"], "");
    EXPECT_TRUE(says(model["file"].get<std::string>(), (folder_ / "cache/models").string()));
  }
}

TEST_F(Models, FetchOfAnUnknownNameSuggestsTheNearest) {
  const Outcome outcome = run({"fetch", "resnet81"}, streams());
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kUsage);
  EXPECT_TRUE(says(outcome.err, "resnet18"));
}

TEST_F(Models, FetchRefusesAFileWithAnotherHashAndLeavesNothing) {
  write_text(folder_ / "resnet18.pth", "these are no weights");
  const Outcome outcome = run({"fetch", "resnet18", "--from", (folder_ / "resnet18.pth").string()}, streams());
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kNetwork);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(cache_is_empty());
}

TEST_F(Models, FetchOfAFileThatIsMissingIsAnError) {
  const Outcome outcome = run({"fetch", "resnet18", "--from", (folder_ / "absent.pth").string()}, streams());
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_TRUE(says(outcome.err, "absent.pth"));
  EXPECT_TRUE(cache_is_empty());
}

// The development weights are no published file: they must not take its name.
TEST_F(Models, FetchRefusesWeightsThatAreNotThePublishedOnes) {
  const std::filesystem::path weights = shared_dir() / "models/resnet18.pth";
  HEADSTART_SKIP_WITHOUT(weights);
  const Outcome outcome = run({"fetch", "resnet18", "--from", weights.string(), "--quiet"}, streams());
  EXPECT_EXIT_CODE(outcome, ErrorCategory::kNetwork);
  EXPECT_TRUE(says(outcome.err, "f37072fd"));
  EXPECT_TRUE(cache_is_empty());
}

TEST_F(Models, FetchedFromAFileTheModelIsHere) {
  const std::filesystem::path weights = model_cache_folder() / "efficientnet-lite0-57934424.pth";
  HEADSTART_SKIP_WITHOUT(weights);
  const Outcome outcome = run({"fetch", "efficientnet_lite0", "--from", weights.string(), "--quiet"}, streams());
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.err, "");
  ASSERT_EQ(lines_of(outcome.out).size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(lines_of(outcome.out)[0])) << outcome.out;
  for (const auto& model : nlohmann::json::parse(run({"models", "--json"}, streams()).out)) {
    EXPECT_EQ(model["cached"], model["name"] == "efficientnet_lite0") << model;
  }
}

}  // namespace
}  // namespace headstart::test
