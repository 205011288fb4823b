// Whether two ways of training differ by more than chance: Student's paired t-test over seeds, McNemar's exact test over photos.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "headstart/compare.h"
#include "headstart/error.h"
#include "headstart/text.h"

namespace headstart {
namespace {

// The continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes, 6.4). Converges fast for
// x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMostTerms = 10'000;
  const auto not_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / not_zero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / not_zero(1 + even * d);
    c = not_zero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / not_zero(1 + odd * d);
    c = not_zero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < std::numeric_limits<double>::epsilon()) break;
  }
  return fraction;
}

// I_x(a, b), regularised, of x and y = 1 - x: near 1, x alone could not tell how near.
double incomplete_beta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

const Evaluation& compared(const TrainResult& run) { return run.test ? *run.test : run.validation; }

bool is_right(const ScoredPhoto& photo) {
  return std::max_element(photo.probabilities.begin(), photo.probabilities.end()) - photo.probabilities.begin() == photo.label;
}

// The seeds that both ways have, as pairs of runs.
std::vector<std::pair<const TrainResult*, const TrainResult*>> pairs_of(const ComparedRuns& first, const ComparedRuns& second) {
  std::vector<std::pair<const TrainResult*, const TrainResult*>> pairs;
  for (const TrainResult& a : first.seeds) {
    for (const TrainResult& b : second.seeds) {
      if (a.options.seed == b.options.seed) pairs.emplace_back(&a, &b);
    }
  }
  return pairs;
}

// Photos that both runs have scored, and how many only one of them names right.
struct Disagreement {
  std::int64_t photos = 0, only_first = 0, only_second = 0;
};

Disagreement disagreement_of(const TrainResult& first, const TrainResult& second) {
  std::map<std::string, bool> right;
  for (const ScoredPhoto& photo : compared(first).photos) right[photo.path] = is_right(photo);
  Disagreement found;
  for (const ScoredPhoto& photo : compared(second).photos) {
    const auto other = right.find(photo.path);
    if (other == right.end()) continue;
    ++found.photos;
    found.only_first += other->second && !is_right(photo) ? 1 : 0;
    found.only_second += !other->second && is_right(photo) ? 1 : 0;
  }
  return found;
}

std::optional<PairedComparison> compare(const ComparedRuns& first, const ComparedRuns& second) {
  const auto pairs = pairs_of(first, second);
  PairedComparison result{.first = first.name, .second = second.name, .test = {}};
  if (pairs.size() > 1) {
    std::vector<double> a, b;
    for (const auto& [one, other] : pairs) {
      a.push_back(compared_accuracy(*one));
      b.push_back(compared_accuracy(*other));
    }
    const TTest test = paired_t_test(a, b);
    result.difference = test.difference;
    result.test = fmt::format("paired t over {} seeds", pairs.size());
    result.p = test.p;
    return result;
  }
  if (pairs.empty()) return std::nullopt;
  const auto& [one, other] = pairs.front();
  const Disagreement found = disagreement_of(*one, *other);
  if (found.photos == 0) return std::nullopt;
  result.difference = compared_accuracy(*one) - compared_accuracy(*other);
  result.test = fmt::format("McNemar over {} photos", human_count(found.photos));
  result.p = mcnemar_p(found.only_first, found.only_second);
  return result;
}

// Holm (1979): the smallest p times the number of pairs, the next times one fewer, and so on, never falling, at most 1.
void adjust(std::vector<PairedComparison>& pairs) {
  std::vector<std::size_t> order(pairs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return pairs[a].p < pairs[b].p; });
  double least = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    PairedComparison& pair = pairs[order[rank]];
    least = std::max(least, std::min(1.0, pair.p * static_cast<double>(order.size() - rank)));
    pair.adjusted_p = least;
  }
}

}  // namespace

double compared_accuracy(const TrainResult& run) { return compared(run).metrics.top1; }

double student_p(double t, double degrees) {
  if (!(degrees > 0)) throw Error(ErrorCategory::kUsage, fmt::format("Student's t needs degrees of freedom above 0, not {}", degrees));
  if (std::isnan(t)) return t;
  // x = degrees / (degrees + t²), written so that a large t cannot overflow.
  const double ratio = t * t / degrees;
  return std::isinf(ratio) ? 0 : incomplete_beta(degrees / 2, 0.5, 1 / (1 + ratio), ratio / (1 + ratio));
}

TTest paired_t_test(std::span<const double> first, std::span<const double> second) {
  if (first.size() != second.size() || first.size() < 2) {
    throw Error(ErrorCategory::kUsage,
                fmt::format("the paired t-test needs two or more pairs, not {} and {} values", first.size(), second.size()));
  }
  std::vector<double> differences;
  for (std::size_t i = 0; i < first.size(); ++i) differences.push_back(first[i] - second[i]);
  const Spread spread = spread_of(differences);
  if (spread.deviation == 0) {
    if (spread.mean == 0) return {};
    return {.difference = spread.mean, .t = std::copysign(std::numeric_limits<double>::infinity(), spread.mean), .p = 0};
  }
  const auto count = static_cast<double>(differences.size());
  const double t = spread.mean / (spread.deviation / std::sqrt(count));
  return {.difference = spread.mean, .t = t, .p = student_p(t, count - 1)};
}

// Twice the tail of the binomial distribution with a fair coin, summed from its largest term down.
double mcnemar_p(std::int64_t only_first, std::int64_t only_second) {
  if (only_first < 0 || only_second < 0) {
    throw Error(ErrorCategory::kUsage, fmt::format("McNemar's test needs counts, not {} and {}", only_first, only_second));
  }
  const auto total = static_cast<double>(only_first + only_second);
  const std::int64_t fewer = std::min(only_first, only_second);
  const auto k = static_cast<double>(fewer);
  double term = std::exp(std::lgamma(total + 1) - std::lgamma(k + 1) - std::lgamma(total - k + 1) - total * std::log(2.0));
  double tail = 0;
  for (std::int64_t i = fewer; i >= 0 && term > 0; --i) {
    tail += term;
    term *= static_cast<double>(i) / (total - static_cast<double>(i) + 1);
  }
  return std::min(1.0, 2 * tail);
}

std::vector<PairedComparison> paired_comparisons(const Comparison& comparison) {
  std::vector<PairedComparison> pairs;
  for (std::size_t i = 0; i < comparison.runs.size(); ++i) {
    for (std::size_t k = i + 1; k < comparison.runs.size(); ++k) {
      if (std::optional<PairedComparison> pair = compare(comparison.runs[i], comparison.runs[k])) pairs.push_back(*std::move(pair));
    }
  }
  adjust(pairs);
  return pairs;
}

}  // namespace headstart
