// Runs side by side: what the book's chapter ends with, and the answer to "did it help?".
//
// Thread-safety: pure functions. Errors: none of their own, but kUsage where samples that belong in pairs do not pair.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "headstart/curves.h"
#include "headstart/train.h"

namespace headstart {

// One way of training, as it ended for each of its seeds (at least one).
struct ComparedRuns {
  std::string name;  // "fine-tuned", "from scratch"
  std::vector<TrainResult> seeds;
  std::string remark = {};  // what the table cannot say: "lr 0.001, the best of 5 on the validation photos"
};

struct Comparison {
  std::string title;
  std::string introduction;  // a sentence or two above the table
  std::vector<ComparedRuns> runs;
};

// Mean and sample standard deviation (0 for a single value); {0, 0} of nothing.
struct Spread {
  double mean = 0;
  double deviation = 0;
};
Spread spread_of(const std::vector<double>& values);

// Two-sided p-value of Student's t with `degrees` (> 0) of freedom: P(|T| >= |t|).
double student_p(double t, double degrees);

// Student's t-test on the differences of pairs; needs two pairs. Without any spread t is infinite and p 0, or with no difference 0 and 1.
struct TTest {
  double difference = 0;  // mean of first - second
  double t = 0;
  double p = 1;
};
TTest paired_t_test(std::span<const double> first, std::span<const double> second);

// McNemar's exact two-sided p-value: of the photos that only one of two models names right, would a fair coin split them so unevenly?
double mcnemar_p(std::int64_t only_first, std::int64_t only_second);

// Two ways of a comparison. With two seeds or more that both have: the t-test on their accuracies, a pair a seed. With one: McNemar's on
// the photos, which says how far this pair of runs would differ on other photos, and nothing of other seeds.
struct PairedComparison {
  std::string first, second;
  double difference = 0;  // of the accuracies, first - second: mean over the seeds, or of the one
  std::string test;       // "paired t over 3 seeds", "McNemar over 800 photos"
  double p = 1;           // two-sided
  double adjusted_p = 1;  // Holm's, for the number of pairs in the comparison
};
// Every pair of ways in the comparison's order; pairs that have neither two seeds nor the same photos' predictions are left out.
std::vector<PairedComparison> paired_comparisons(const Comparison& comparison);

// The accuracy that runs are compared by: of the test photos where there are any, else of validation.
double compared_accuracy(const TrainResult& run);

// The figures of a run's last epoch as the book prints them: "loss 0.211, train acc 0.924, test acc 0.892" and, on a second line,
// "1062.8 examples/sec on [cuda:0]". The rate is photos of the last epoch x epochs over the time spent in steps, waiting for photos,
// scoring and drawing left out. Of a run without epochs: "test acc 0.897 without training".
std::string book_lines(const TrainResult& run);
double examples_per_second(const TrainResult& run);

// What the book's figure shows of a run.
Curves curves_of(const TrainResult& run);

// Aligned text for a terminal: a row a way of training, and below a row a pair.
std::string comparison_to_text(const Comparison& comparison);
// One self-contained page: the tables, and the book's figure of every way's first seed side by side.
std::string comparison_to_html(const Comparison& comparison);

}  // namespace headstart
