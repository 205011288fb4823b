#include "report/html_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "fake_result.h"
#include "headstart/text.h"
#include "report/html_text.h"
#include "report/report_parts.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"

namespace headstart {
namespace {

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Tags that open and close must nest; void elements and the doctype are left out.
::testing::AssertionResult is_well_nested(const std::string& html) {
  const std::vector<std::string> empty = {"meta", "img", "br", "line", "polyline", "circle", "!doctype"};
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    const std::string tag = html.substr(at + 1, html.find_first_of(" >\n/", at + 2) - at - 1);
    if (std::find(empty.begin(), empty.end(), tag) != empty.end()) continue;
    if (html[at + 1] != '/') {
      open.push_back(tag);
    } else if (const std::string closed = html.substr(at + 2, end - at - 2); open.empty() || open.back() != closed) {
      return ::testing::AssertionFailure() << "</" << closed << "> closes " << (open.empty() ? "nothing" : open.back()) << " at " << at;
    } else {
      open.pop_back();
    }
  }
  if (!open.empty()) return ::testing::AssertionFailure() << open.back() << " is not closed";
  return ::testing::AssertionSuccess();
}

TEST(HtmlText, EscapesEverythingThatHtmlReads) {
  EXPECT_EQ(html_text("<a href=\"x\" id='y'>&"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(html_text(std::string_view("a\0b\x1b\xFF", 5)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(html_text("ü日\n\t"), "ü日\n\t");
}

TEST(Base64, EqualsTheTestVectorsOfRfc4648) {
  const auto encode = [](std::string_view text) { return base64(std::as_bytes(std::span(text.data(), text.size()))); };
  EXPECT_EQ(encode(""), "");
  EXPECT_EQ(encode("f"), "Zg==");
  EXPECT_EQ(encode("fo"), "Zm8=");
  EXPECT_EQ(encode("foo"), "Zm9v");
  EXPECT_EQ(encode("foob"), "Zm9vYg==");
  EXPECT_EQ(encode("fooba"), "Zm9vYmE=");
  EXPECT_EQ(encode("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encode("\xFF\xFB\xFE"), "//v+");
}

TEST(Counted, TakesTheSingularForOne) {
  EXPECT_EQ(counted(1, "photo", "photos"), "1 photo");
  EXPECT_EQ(counted(2000, "photo", "photos"), "2,000 photos");
}

TEST(HtmlReport, IsOneWellNestedPageThatLoadsNothing) {
  for (const int classes : {2, 3, 12, 29, 40, 120}) {
    for (const int epochs : {1, 50}) {
      const TrainResult result = test::fake_result({.classes = classes, .epochs = epochs, .photos_per_class = 4});
      const Catalog catalog = test::fake_catalog(result, 10);
      const std::string page = html_report(result, "/nowhere", &catalog);
      EXPECT_TRUE(is_well_nested(page)) << classes << " classes, " << epochs << " epochs";
      EXPECT_EQ(page, valid_utf8(page));
      for (const char* loads : {"<script", "<link", "http://", "https://", "@import", "url(", "onload", "<iframe"}) {
        EXPECT_FALSE(contains(page, loads)) << loads;
      }
      EXPECT_TRUE(contains(page, "prefers-color-scheme:dark"));
      EXPECT_EQ(contains(page, "class=\"matrix"), classes <= 30);
    }
  }
}

TEST(HtmlReport, NamesTheSplitOfItsHeadline) {
  TrainResult result = test::fake_result({.classes = 2, .photos_per_class = 100});
  std::string page = html_report(result, "/nowhere");
  EXPECT_TRUE(contains(page, "Accuracy on the test photos"));
  EXPECT_TRUE(contains(page, "<div class=\"figure\">" + human_percent(result.test->metrics.top1) + "</div>"));
  EXPECT_TRUE(contains(page, human_percent(result.test->metrics.top1_interval.low)));
  result.test.reset();
  page = html_report(result, "/nowhere");
  EXPECT_TRUE(contains(page, "Accuracy on the validation photos"));
  EXPECT_TRUE(contains(page, "<div class=\"figure\">" + human_percent(result.validation.metrics.top1) + "</div>"));
}

TEST(HtmlReport, ShowsTheViewsThatWereTriedAndTheOneThatWasTaken) {
  TrainResult result = test::fake_result({.classes = 2, .epochs = 1});
  result.head_trials = {{.penalty = 0.1, .chosen = true}};
  result.resize_trials = {{.resize_size = 256, .loss = 0.5, .top1 = 0.8},
                          {.mode = ResizeMode::kSquash, .resize_size = 224, .loss = 0.25, .top1 = 0.9, .chosen = true}};
  const std::string html = html_report(result, "");
  EXPECT_TRUE(is_well_nested(html));
  EXPECT_TRUE(contains(html, "<tr><th class=\"left\">the middle of photos, in proportion</th><td>0.5000</td><td>80.0%</td>"));
  EXPECT_TRUE(contains(html, "<tr class=\"best\"><th class=\"left\">whole photos, squashed to 224 × 224 pixels</th><td>0.2500</td>"));
}

TEST(HtmlReport, NamesTheSourcesClassesThatHelpedTheFit) {
  TrainResult result = test::fake_result({.classes = 3, .photos_per_class = 10});
  result.head_trials = {{.penalty = 0.1, .chosen = true}};
  EXPECT_FALSE(contains(html_report(result, ""), "It was helped"));
  result.head_sources = {{.row = 934, .name = "hot <dog>"}, {}, {.row = 7, .name = ""}};
  const std::string html = html_report(result, "");
  EXPECT_TRUE(is_well_nested(html));
  const std::string first = "<bdi>" + result.classes[0] + "</bdi>", last = "<bdi>" + result.classes[2] + "</bdi>";
  EXPECT_TRUE(contains(html, "answers for " + first + " (row 934, <bdi>hot &lt;dog&gt;</bdi>) and " + last + " (row 7). "));
}

TEST(HtmlReport, SaysThatTheFileHasLearnedFromTheValidationPhotosToo) {
  TrainResult result = test::fake_result({.classes = 2, .photos_per_class = 40});
  result.head_trials = {{.penalty = 0.1, .chosen = true}};
  EXPECT_FALSE(contains(html_report(result, ""), "learned from the"));
  result.refitted = true;
  const std::string html = html_report(result, "");
  EXPECT_TRUE(is_well_nested(html));
  EXPECT_TRUE(contains(html, "the layer learned from the 80 validation photos as well"));
  EXPECT_FALSE(contains(html, "This is before the output layer"));
  result.test.reset();
  EXPECT_TRUE(contains(html_report(result, ""), "This is before the output layer learned from these photos too."));
}

TEST(HtmlReport, EscapesHostileNames) {
  test::FakeRun run{.classes = 4, .photos_per_class = 10, .skill = 0.2};
  run.names = {"<script>alert(1)</script>", "\"'&\xFF\xFE", "</style></table>", "\xE2\x80\xAE right to left"};
  TrainResult result = test::fake_result(run);
  result.unreadable.push_back({"<img src=x onerror=alert(1)>", "reason </td><script>"});
  result.problems.push_back({"</section>", "<b>bold</b>"});
  result.options.photos = "photos/'; rm -rf ~; <i>";
  result.options.out = "runs/<h1>\xFF";
  result.options.model = "<u>";
  const Catalog catalog = test::fake_catalog(result, 5);
  const std::string page = html_report(result, "/nowhere", &catalog);
  EXPECT_TRUE(is_well_nested(page));
  EXPECT_EQ(page, valid_utf8(page));
  for (const char* raw : {"<script", "<img src=x", "<b>bold", "<i>", "<u>", "<h1>\xEF"}) {
    EXPECT_FALSE(contains(page, raw)) << raw;
  }
  EXPECT_TRUE(contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;"));
  // The command for a shell quotes the folder.
  EXPECT_TRUE(contains(page, html_text("'photos/'\\''; rm -rf ~; <i>'")));
}

TEST(HtmlReport, ShowsThumbnailsOfMistakesAndDoesWithoutThoseThatAreGone) {
  const test::TempDir photos;
  const TrainResult result = test::fake_result({.classes = 2, .photos_per_class = 6, .skill = 0});
  ASSERT_TRUE(result.test);
  test::write_ppm(photos / result.test->photos[0].path, 400, 200, test::tiny_photo(0, 0, 1, 400));  // wider rows than needed: cut below
  test::write_ppm(photos / result.test->photos[1].path, 30, 40, test::tiny_photo(1, 1, 1, 40));
  const std::string page = html_report(result, photos.path());
  EXPECT_EQ(occurrences(page, "data:image/jpeg;base64,/9j/"), 2U);
  EXPECT_TRUE(contains(page, "width=\"80\" height=\"160\""));
  EXPECT_TRUE(contains(page, "width=\"40\" height=\"30\""));
  EXPECT_EQ(occurrences(page, "could<br>not be read"), 10U);
}

TEST(HtmlReport, ShowsTheMostConfidentMistakesFirstAndAtMostTwentyFour) {
  TrainResult result = test::fake_result({.classes = 2, .photos_per_class = 30, .skill = 0});
  result.test->photos[7].probabilities = {0.0005F, 0.9995F};
  result.test->photos[7].path = "the-worst.jpg";
  const std::string page = html_report(result, "/nowhere");
  EXPECT_EQ(occurrences(page, "<li>"), 24U);
  EXPECT_TRUE(contains(page.substr(page.find("<li>"), 500), "the-worst.jpg"));
  EXPECT_TRUE(contains(page, "60 of the 60 photos of the test split were named wrong; here are 24"));
}

TEST(HtmlReport, SaysSoWhenThereIsNoMistakeAndNoProblem) {
  TrainResult result = test::fake_result({.classes = 3, .skill = 1});
  result.unreadable.clear();
  result.problems.clear();
  const std::string page = html_report(result, "/nowhere");
  EXPECT_TRUE(contains(page, "None: every test photo was named right."));
  EXPECT_TRUE(contains(page, "No photo was taken for another class."));
  EXPECT_TRUE(contains(page, "Every photo could be read"));
}

TEST(HtmlReport, ListsSkippedPhotosOptionsAndHowToGoOn) {
  const TrainResult result = test::fake_result({});
  const std::string page = html_report(result, "/nowhere");
  for (const char* part :
       {"cat/broken.jpg", "the JPEG data ends early", "no photo in this folder", "head_lr_multiplier", "0123456789abcdef",
        "headstart predict runs/animals-1/model.safetensors", "headstart eval", "safe_open", "Classifier::open"}) {
    EXPECT_TRUE(contains(page, part)) << part;
  }
  EXPECT_FALSE(contains(page, "torchvision.models")) << "EfficientNet-Lite is no network of torchvision's";
  TrainResult resnet = result;
  resnet.options.architecture = "resnet50";
  EXPECT_TRUE(contains(html_report(resnet, "/nowhere"), "torchvision.models.resnet50"));
}

TEST(HtmlReport, AdvisesWhenTrainingWaitedForPhotos) {
  TrainResult result = test::fake_result({});
  EXPECT_FALSE(contains(html_report(result, "/nowhere"), "The network waited for photos"));
  for (EpochRecord& epoch : result.history) epoch.loader_wait_share = 0.5;
  EXPECT_TRUE(contains(html_report(result, "/nowhere"), "The network waited for photos"));
  EXPECT_TRUE(contains(html_report(result, "/nowhere"), "50.0%"));
}

TEST(HtmlReport, OfARunWithoutEpochsHasFiguresAndNoCurves) {
  const std::string html = html_report(test::fake_result({.epochs = 0}), "");
  EXPECT_TRUE(is_well_nested(html));
  EXPECT_TRUE(contains(html, "without training on 2 classes"));
  EXPECT_TRUE(contains(html, "the network as it started"));
  for (const char* const part : {"#curves", "#speed", "Best epoch", "photos a second"}) EXPECT_FALSE(contains(html, part)) << part;
}

TEST(HtmlReport, OfAnEmptyResultIsStillAPage) { EXPECT_TRUE(is_well_nested(html_report(TrainResult{}, ""))); }

}  // namespace
}  // namespace headstart
