// Images a second of a network by itself, on generated images: its forward pass as evaluation runs it, or its training step.
//
// network_bench forward|train ARCHITECTURE float32|bfloat16 BATCH [SECONDS] [train|frozen-statistics]
// Prints the median over the steps of the given time (default 5 seconds), the processor's time that an image took (which a busy machine
// hardly changes, with OMP_WAIT_POLICY=passive), and the highest resident memory. KEEP=0 in the environment: with the C library's memory
// instead of model/memory.h's.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "model/folding.h"
#include "model/memory.h"
#include "train/optimizer.h"

namespace headstart {
namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

int run(const std::vector<std::string>& arguments) {
  if (const char* keep = std::getenv("KEEP"); keep == nullptr || std::string(keep) != "0") keep_large_tensors();
  const bool train = arguments[0] == "train";
  const Precision precision = arguments[2] == "bfloat16" ? Precision::kBFloat16 : Precision::kFloat32;
  const std::int64_t batch = std::stoll(arguments[3]);
  const double seconds = arguments.size() > 4 ? std::stod(arguments[4]) : 5;
  const bool frozen = arguments.size() > 5 && arguments[5] == "frozen-statistics";
  const std::unique_ptr<Network> network = make_network(arguments[1], 2);
  const int side = find_architecture(arguments[1]).preprocessing.crop_size;
  const at::Tensor images = at::randn({batch, 3, side, side}).to(dtype_of(precision)).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor labels = at::randint(0, 2, {batch}, at::kLong);
  const FoldedNetwork folded(*network, dtype_of(precision));
  if (train) {
    for (const NamedParameter& parameter : network->parameters()) parameter.tensor.set_requires_grad(true);
  }
  Optimizer optimizer(network->parameters(), {});
  const NormMode norm = frozen ? NormMode::kRunningStatistics : NormMode::kBatchStatistics;
  const auto step = [&] {
    if (!train) {
      folded.forward(images);
      return;
    }
    at::cross_entropy_loss(network->forward(images, norm), labels).backward();
    optimizer.step(1e-4);
  };
  for (int i = 0; i < 2; ++i) step();
  std::vector<double> times;
  const double cpu_before = cpu_seconds();
  for (double spent = 0; spent < seconds; spent += times.back()) times.push_back(seconds_of(step));
  const double cpu_an_image = (cpu_seconds() - cpu_before) / static_cast<double>(std::ssize(times) * batch);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{:.2f} images/s, {:.2f} ms of processor time an image, {} MiB\n", static_cast<double>(batch) / median(times),
             1e3 * cpu_an_image, usage.ru_maxrss / 1024);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace headstart

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 4) {
    fmt::print(stderr, "usage: network_bench forward|train ARCHITECTURE float32|bfloat16 BATCH [SECONDS] [train|frozen-statistics]\n");
    return EXIT_FAILURE;
  }
  return headstart::run(arguments);
}
