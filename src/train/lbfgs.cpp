#include "train/lbfgs.h"

#include <ATen/ATen.h>

#include <deque>
#include <limits>
#include <optional>
#include <vector>

namespace headstart {
namespace {

constexpr std::size_t kHistory = 20;

// A step that was taken, and what it did to the gradient.
struct Pair {
  at::Tensor step, change;
  double curvature = 0;  // step . change, positive
};

struct Point {
  at::Tensor x;
  ValueAndGradient at;
};

double product(const at::Tensor& a, const at::Tensor& b) { return a.dot(b).item<double>(); }

// Minus the gradient times the approximate inverse Hessian that the history describes: the two-loop recursion.
at::Tensor descent_direction(const at::Tensor& gradient, const std::deque<Pair>& history) {
  at::Tensor direction = gradient.neg();
  if (history.empty()) return direction / std::max(1.0, gradient.norm().item<double>());
  std::vector<double> alphas(history.size());
  for (std::size_t i = history.size(); i-- > 0;) {
    alphas[i] = product(history[i].step, direction) / history[i].curvature;
    direction = direction - alphas[i] * history[i].change;
  }
  direction = direction * (history.back().curvature / product(history.back().change, history.back().change));
  for (std::size_t i = 0; i < history.size(); ++i) {
    const double beta = product(history[i].change, direction) / history[i].curvature;
    direction = direction + (alphas[i] - beta) * history[i].step;
  }
  return direction;
}

// A step along the direction that lowers the value enough and leaves a flatter slope; nothing when float64 sees no difference any more.
std::optional<Point> line_search(const Objective& objective, const Point& from, const at::Tensor& direction) {
  constexpr double kEnough = 1e-4, kFlatter = 0.9;
  constexpr int kMostTrials = 60;
  const double slope = product(from.at.gradient, direction);
  if (!(slope < 0)) return std::nullopt;
  double low = 0, high = std::numeric_limits<double>::infinity(), step = 1;
  for (int trial = 0; trial < kMostTrials; ++trial) {
    Point to{.x = from.x + step * direction, .at = {}};
    to.at = objective(to.x);
    if (!(to.at.value <= from.at.value + kEnough * step * slope)) {
      high = step;
    } else if (product(to.at.gradient, direction) < kFlatter * slope) {
      low = step;
    } else {
      return to;
    }
    step = high == std::numeric_limits<double>::infinity() ? 2 * low : (low + high) / 2;
  }
  return std::nullopt;
}

}  // namespace

Minimum minimise(const Objective& objective, const at::Tensor& start, const MinimiseOptions& options) {
  Point point{.x = start, .at = objective(start)};
  std::deque<Pair> history;
  int iterations = 0;
  const auto gradient_norm = [&point] { return point.at.gradient.norm().item<double>(); };
  for (; iterations < options.max_iterations && gradient_norm() > options.gradient_norm; ++iterations) {
    const std::optional<Point> next = line_search(objective, point, descent_direction(point.at.gradient, history));
    if (!next) break;
    Pair pair{.step = next->x - point.x, .change = next->at.gradient - point.at.gradient};
    pair.curvature = product(pair.step, pair.change);
    if (pair.curvature > 0) history.push_back(std::move(pair));
    if (history.size() > kHistory) history.pop_front();
    point = *next;
  }
  return {.x = point.x, .value = point.at.value, .gradient_norm = gradient_norm(), .iterations = iterations};
}

}  // namespace headstart
