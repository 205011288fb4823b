// The tests behind "is the difference real?": known values, and what a comparison makes of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fake_result.h"
#include "headstart/compare.h"
#include "support/errors.h"

namespace headstart {
namespace {

using test::expect_contains;

// With 1 and 2 degrees of freedom the distribution has a closed form.
TEST(StudentP, EqualsItsClosedForms) {
  for (const double t : {0.0, 1e-6, 0.3, 1.0, 2.5, 12.7062, 300.0, 1e6}) {
    const double one = 1 - 2 / M_PI * std::atan(t), two = 1 - t / std::sqrt(2 + t * t);
    // 1e-14: a few roundings of numbers near 1, from which both sides are computed.
    EXPECT_TRUE(std::abs(student_p(t, 1) - one) <= 1e-14) << t;
    EXPECT_TRUE(std::abs(student_p(t, 2) - two) <= 1e-14) << t;
    EXPECT_EQ(student_p(-t, 3), student_p(t, 3)) << t;
  }
}

// mpmath 1.3.0 with 30 digits: betainc(v / 2, 1 / 2, 0, v / (v + t * t), regularized=True).
TEST(StudentP, EqualsThirtyDigits) {
  struct Known {
    double t, degrees, p;
  };
  for (const Known& known : {Known{2, 10, 0.073388034770740366}, Known{4, 9, 0.0031104283103858554}, Known{0.5, 29, 0.62084808419378136},
                             Known{1e-6, 7, 0.99999923001709834}, Known{6, 5.5, 0.0013207827335336265}, Known{40, 3, 3.4380680789158528e-5},
                             Known{1.96, 1e6, 0.049996067585269791}}) {
    // 1e-9 of p: lgamma of half a million, whose last digit is 1e-10 of the front factor, is the roughest step.
    EXPECT_TRUE(std::abs(student_p(known.t, known.degrees) - known.p) <= 1e-9 * known.p)
        << known.t << " " << student_p(known.t, known.degrees);
  }
  EXPECT_EQ(student_p(std::numeric_limits<double>::infinity(), 4), 0);
  EXPECT_TRUE(std::isnan(student_p(std::nan(""), 4)));
  test::error_of([] { student_p(1, 0); }, ErrorCategory::kUsage);
}

// The sleep data of Student (1908): the paired test that every textbook shows, t = -4.0621 with 9 degrees of freedom, p = 0.002833.
TEST(PairedTTest, EqualsStudentsOwn) {
  const std::vector<double> first = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
  const std::vector<double> second = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
  const TTest test = paired_t_test(first, second);
  EXPECT_NEAR(test.difference, -1.58, 1e-12);
  EXPECT_NEAR(test.t, -4.0621, 5e-5);   // as published, to four decimals
  EXPECT_NEAR(test.p, 0.002833, 5e-7);  // likewise to six
}

TEST(PairedTTest, KnowsPairsWithoutSpread) {
  EXPECT_EQ(paired_t_test(std::vector<double>{1, 2}, std::vector<double>{1, 2}).p, 1);
  const TTest shifted = paired_t_test(std::vector<double>{1, 2}, std::vector<double>{2, 3});
  EXPECT_EQ(shifted.p, 0);
  EXPECT_TRUE(std::isinf(shifted.t) && shifted.t < 0);
  expect_contains(test::error_of([] { paired_t_test(std::vector<double>{1}, std::vector<double>{2}); }, ErrorCategory::kUsage),
                  "two or more");
}

TEST(McNemarP, EqualsTheBinomialTail) {
  EXPECT_NEAR(mcnemar_p(1, 9), 2 * (1 + 10) / 1024.0, 1e-15);  // a few roundings of numbers near 0.02
  EXPECT_DOUBLE_EQ(mcnemar_p(9, 1), mcnemar_p(1, 9));
  EXPECT_NEAR(mcnemar_p(0, 5), 2 / 32.0, 1e-15);
  EXPECT_EQ(mcnemar_p(4, 4), 1);  // twice the tail would be more
  EXPECT_EQ(mcnemar_p(0, 0), 1);
  EXPECT_GT(mcnemar_p(10'000, 10'200), 0.15);  // (200 / sqrt(20200))² = 1.98: p is near 0.159
  EXPECT_LT(mcnemar_p(10'000, 10'200), 0.17);
  test::error_of([] { mcnemar_p(-1, 3); }, ErrorCategory::kUsage);
}

ComparedRuns runs_of(const std::string& name, double skill, int seeds) {
  ComparedRuns runs{.name = name, .seeds = {}};
  for (int seed = 0; seed < seeds; ++seed) {
    TrainResult run = test::fake_result({.photos_per_class = 50 + seed, .skill = skill});
    run.options.seed = static_cast<std::uint64_t>(seed);
    runs.seeds.push_back(std::move(run));
  }
  return runs;
}

TEST(PairedComparisons, TakeSeedsWhereThereAreSeveralElsePhotos) {
  const Comparison several{.title = "", .introduction = "", .runs = {runs_of("a", 0.95, 3), runs_of("b", 0.6, 3)}};
  const std::vector<PairedComparison> by_seed = paired_comparisons(several);
  ASSERT_EQ(by_seed.size(), 1U);
  EXPECT_EQ(by_seed[0].test, "paired t over 3 seeds");
  EXPECT_EQ(by_seed[0].adjusted_p, by_seed[0].p);
  EXPECT_GT(by_seed[0].difference, 0.2);
  EXPECT_LT(by_seed[0].p, 0.05);

  const Comparison single{.title = "", .introduction = "", .runs = {runs_of("a", 0.95, 1), runs_of("b", 0.6, 1)}};
  const std::vector<PairedComparison> by_photo = paired_comparisons(single);
  ASSERT_EQ(by_photo.size(), 1U);
  EXPECT_EQ(by_photo[0].test, "McNemar over 100 photos");
  EXPECT_LT(by_photo[0].p, 0.001);

  Comparison without_photos = single;
  without_photos.runs[0].seeds[0].test->photos.clear();
  EXPECT_TRUE(paired_comparisons(without_photos).empty());
}

TEST(PairedComparisons, AdjustForTheNumberOfPairs) {
  const Comparison three{.title = "", .introduction = "", .runs = {runs_of("a", 0.95, 1), runs_of("b", 0.6, 1), runs_of("c", 0.9, 1)}};
  std::vector<PairedComparison> pairs = paired_comparisons(three);
  ASSERT_EQ(pairs.size(), 3U);
  std::sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.p < b.p; });
  EXPECT_DOUBLE_EQ(pairs[0].adjusted_p, std::min(1.0, 3 * pairs[0].p));
  EXPECT_DOUBLE_EQ(pairs[1].adjusted_p, std::min(1.0, std::max(pairs[0].adjusted_p, 2 * pairs[1].p)));
  EXPECT_DOUBLE_EQ(pairs[2].adjusted_p, std::max(pairs[1].adjusted_p, pairs[2].p));
}

TEST(ComparisonText, ShowsWaysRemarksAndPairs) {
  Comparison comparison{
      .title = "A <comparison>", .introduction = "Two ways.", .runs = {runs_of("fine-tuned", 0.95, 2), runs_of("scratch", 0.6, 2)}};
  comparison.runs[1].remark = "lr 0.1, the best of 5";
  const std::string text = comparison_to_text(comparison);
  for (const char* const part :
       {"fine-tuned  ", "test acc", " ± ", "scratch: lr 0.1, the best of 5\n", "fine-tuned - scratch", "paired t over 2 seeds"}) {
    expect_contains(text, part);
  }
  const std::string page = comparison_to_html(comparison);
  for (const char* const part : {"<h1>A &lt;comparison&gt;</h1>", "<th>fine-tuned</th>", "Is the difference real?", "<svg"})
    expect_contains(page, part);
}

}  // namespace
}  // namespace headstart
