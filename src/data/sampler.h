// Which photo comes when: the order of an epoch is a function of (seed, epoch).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headstart/dataset.h"
#include "headstart/train.h"

namespace headstart {

// Indices into `samples`. kNone and kClassWeights: a permutation. kBalancedSampler: samples.size() draws with replacement, every class
// equally likely. Pure.
std::vector<std::uint32_t> epoch_order(std::span<const Sample> samples, int classes, Imbalance imbalance, std::uint64_t seed,
                                       std::uint32_t epoch);

// Loss weights by class, photos / (classes * photos of the class); 0 for a class without photos.
std::vector<float> class_weights(std::span<const Sample> samples, int classes);

}  // namespace headstart
