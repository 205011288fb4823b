// First values of weights, drawn from random streams: the same on every machine's thread count.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/random.h"
#include "model/network.h"

namespace headstart {

// Fills every parameter of a network on the CPU, as make_network states. Parameter i draws from its own stream (seed, kHeadInit, epoch 1,
// i); the head's own stream of replace_head is epoch 0.
void initialise(Network& network, std::uint64_t seed);

// The same with every weight uniform within sqrt(6 / (fan_in + fan_out)) and biases zero: MXNet's Xavier() with its defaults.
void initialise_xavier(Network& network, std::uint64_t seed);

// Fills a contiguous float32 CPU tensor with draws from [-bound, bound).
void fill_uniform(const at::Tensor& tensor, double bound, RandomStream stream);

// Fills a contiguous float32 CPU tensor with normal draws of mean 0 (Box-Muller).
void fill_normal(const at::Tensor& tensor, double deviation, RandomStream stream);

}  // namespace headstart
