// Runs side by side: what the book's chapter ends with, and the answer to "did it help?".
//
// Thread-safety: pure functions. Errors: none of their own.
#pragma once

#include <string>
#include <vector>

#include "headstart/curves.h"
#include "headstart/train.h"

namespace headstart {

// One way of training, as it ended for each of its seeds (at least one).
struct ComparedRuns {
  std::string name;  // "fine-tuned", "from scratch"
  std::vector<TrainResult> seeds;
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

// The figures of a run's last epoch as the book prints them: "loss 0.211, train acc 0.924, test acc 0.892" and, on a second line,
// "1062.8 examples/sec on [cuda:0]". The rate is photos of the last epoch x epochs over the time spent in steps, waiting for photos,
// scoring and drawing left out. Of a run without epochs: "test acc 0.897 without training".
std::string book_lines(const TrainResult& run);
double examples_per_second(const TrainResult& run);

// What the book's figure shows of a run.
Curves curves_of(const TrainResult& run);

// Aligned text for a terminal: a row a way of training.
std::string comparison_to_text(const Comparison& comparison);
// One self-contained page: the table, and the book's figure of every way's first seed side by side.
std::string comparison_to_html(const Comparison& comparison);

}  // namespace headstart
