#include "eval/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace headstart {
namespace {

// Cross-entropy of one photo whose log probabilities at temperature 1 are given.
double loss_at(std::span<const double> logs, std::int32_t label, double temperature) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const double log : logs) largest = std::max(largest, log);
  for (const double log : logs) sum += std::exp((log - largest) / temperature);
  return std::log(sum) + (largest - logs[static_cast<std::size_t>(label)]) / temperature;
}

// The place of the least value of a function with one valley, by golden sections.
template <typename Function>
double lowest_point(const Function& function, double low, double high) {
  constexpr double kClose = 1e-7;
  const double section = 1 / std::numbers::phi;
  double left = high - section * (high - low), right = low + section * (high - low);
  double at_left = function(left), at_right = function(right);
  while (high - low > kClose) {
    if (at_left <= at_right) {
      high = right;
      right = left;
      at_right = at_left;
      left = high - section * (high - low);
      at_left = function(left);
    } else {
      low = left;
      left = right;
      at_left = at_right;
      right = low + section * (high - low);
      at_right = function(right);
    }
  }
  return (low + high) / 2;
}

}  // namespace

double log_probability(float probability) {
  return std::log(static_cast<double>(std::max(probability, std::numeric_limits<float>::min())));
}

double fit_temperature(std::span<const ScoredPhoto> photos) {
  constexpr double kSpread = 0.5;  // of ln T before any photo is seen: T from 0.37 to 2.7 is nothing unusual
  const double bound = std::log(20.0);
  if (photos.empty()) return 1;
  std::vector<std::vector<double>> logs;
  for (const ScoredPhoto& photo : photos) {
    std::vector<double>& row = logs.emplace_back();
    for (const float probability : photo.probabilities) {
      if (std::isnan(probability)) return 1;
      row.push_back(log_probability(probability));
    }
  }
  const auto objective = [&](double log_temperature) {
    double sum = log_temperature * log_temperature / (2 * kSpread * kSpread);
    for (std::size_t i = 0; i < photos.size(); ++i) sum += loss_at(logs[i], photos[i].label, std::exp(log_temperature));
    return sum;
  };
  return std::exp(lowest_point(objective, -bound, bound));
}

void apply_temperature(std::span<float> probabilities, double temperature) {
  if (temperature == 1) return;
  double sum = 0;
  for (const float probability : probabilities) sum += std::pow(static_cast<double>(probability), 1 / temperature);
  for (float& probability : probabilities) {
    probability = static_cast<float>(std::pow(static_cast<double>(probability), 1 / temperature) / sum);
  }
}

void apply_temperature(Evaluation& evaluation, double temperature) {
  if (temperature == 1 || evaluation.photos.empty()) return;
  for (ScoredPhoto& photo : evaluation.photos) apply_temperature(std::span(photo.probabilities), temperature);
  evaluation.metrics = compute_metrics(evaluation.photos, static_cast<int>(evaluation.photos.front().probabilities.size()));
}

}  // namespace headstart
