#include "data/sampler.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "core/random.h"
#include "headstart/error.h"

namespace headstart {
namespace {

std::vector<std::vector<std::uint32_t>> indices_by_class(std::span<const Sample> samples, int classes) {
  std::vector<std::vector<std::uint32_t>> by_class(static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].label < 0 || samples[i].label >= classes) {
      throw Error(ErrorCategory::kUsage, fmt::format("cannot order the photos: {} has label {}, expected 0 to {}", samples[i].path,
                                                     samples[i].label, classes - 1));
    }
    by_class[static_cast<std::size_t>(samples[i].label)].push_back(static_cast<std::uint32_t>(i));
  }
  return by_class;
}

std::vector<std::uint32_t> permutation(std::size_t n, RandomStream stream) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[stream.below(i)]);
  return order;
}

std::vector<std::uint32_t> balanced_draws(std::span<const Sample> samples, int classes, RandomStream stream) {
  auto by_class = indices_by_class(samples, classes);
  std::erase_if(by_class, [](const auto& photos) { return photos.empty(); });
  std::vector<std::uint32_t> order(samples.size());
  for (std::uint32_t& index : order) {
    const auto& photos = by_class[stream.below(by_class.size())];
    index = photos[stream.below(photos.size())];
  }
  return order;
}

}  // namespace

std::vector<std::uint32_t> epoch_order(std::span<const Sample> samples, int classes, Imbalance imbalance, std::uint64_t seed,
                                       std::uint32_t epoch) {
  if (imbalance == Imbalance::kBalancedSampler) {
    return balanced_draws(samples, classes, RandomStream(seed, Purpose::kBalancedDraw, epoch));
  }
  return permutation(samples.size(), RandomStream(seed, Purpose::kShuffle, epoch));
}

std::vector<float> class_weights(std::span<const Sample> samples, int classes) {
  std::vector<float> weights(static_cast<std::size_t>(classes), 0.0F);
  const auto by_class = indices_by_class(samples, classes);
  for (std::size_t label = 0; label < weights.size(); ++label) {
    if (by_class[label].empty()) continue;
    weights[label] = static_cast<float>(static_cast<double>(samples.size()) /
                                        (static_cast<double>(classes) * static_cast<double>(by_class[label].size())));
  }
  return weights;
}

}  // namespace headstart
