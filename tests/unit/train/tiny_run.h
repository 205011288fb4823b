// Small runs for tests: a network with generated weights, photos of 40 pixels, seconds at most.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "headstart/error.h"
#include "headstart/train.h"
#include "model/network.h"
#include "support/tiny_dataset.h"
#include "weights/state_dict.h"

namespace headstart::test {

inline constexpr const char* kTinyArchitecture = "efficientnet_lite0";

// A weights file with generated values: what a run starts from, without a download.
inline std::filesystem::path write_source_weights(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "source.safetensors";
  if (!std::filesystem::exists(file)) write_safetensors(file, make_network(kTinyArchitecture, 4, /*seed=*/3)->state());
  return file;
}

struct TinyRun {
  int classes = 2;
  int photos_per_class = 10;
  std::string name = "run";
};

// Photos, weights and options for a run below `folder`.
inline TrainOptions tiny_options(const std::filesystem::path& folder, const TinyRun& tiny = {}) {
  const std::filesystem::path photos = folder / "photos";
  if (!std::filesystem::exists(photos)) make_tiny_dataset(photos, tiny.classes, tiny.photos_per_class);
  TrainOptions options;
  options.recipe = Recipe::kFinetune;
  options.photos = photos;
  options.model = write_source_weights(folder).string();
  options.out = folder / tiny.name;
  options.epochs = 2;
  options.batch_size = 4;
  options.lr = 0.01;
  options.precision = Precision::kFloat32;
  options.device = "cpu";
  options.threads = 1;  // on a busy machine OpenMP's spinning makes two threads twenty times slower than one
  options.preprocessing = Preprocessing{.resize_size = 36, .crop_size = 32};
  return options;
}

// Nothing that only steps have is asked for any more: then the recipe head fits its layer.
inline void ask_for_no_steps(TrainOptions& options) {
  options.epochs.reset();
  options.lr.reset();
  options.batch_size.reset();
}

// Every fifth photo of the first class changes places with one of the second: what nobody can name right leaves something to gain.
inline void swap_some_photos(const std::filesystem::path& photos) {
  std::vector<std::vector<std::filesystem::path>> files;
  for (const auto& folder : std::filesystem::directory_iterator(photos)) {
    files.emplace_back();
    for (const auto& file : std::filesystem::directory_iterator(folder)) files.back().push_back(file.path());
    std::sort(files.back().begin(), files.back().end());
  }
  for (std::size_t i = 0; i < files.at(0).size(); i += 5) {
    const std::filesystem::path aside = photos / "aside";
    std::filesystem::rename(files[0][i], aside);
    std::filesystem::rename(files[1][i], files[0][i]);
    std::filesystem::rename(aside, files[1][i]);
  }
}

inline StateDict read_model_tensors(const std::filesystem::path& run) { return read_weights(run / "model.safetensors"); }

// The names of the tensors whose bytes differ, or that only one of the two has.
inline std::vector<std::string> differing_tensors(const StateDict& a, const StateDict& b) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : a.tensors) {
    const HostTensor* const other = b.find(name);
    if (other == nullptr || tensor.shape != other->shape || *tensor.bytes != *other->bytes) names.push_back(name);
  }
  for (const auto& [name, tensor] : b.tensors) {
    if (a.find(name) == nullptr) names.push_back(name);
  }
  return names;
}

// Runs `work`, which must throw an Error of that category, and returns its message.
inline std::string message_of(ErrorCategory category, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), category) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

// Callbacks that ask to stop once `steps` optimizer steps were taken in this sitting.
inline TrainCallbacks stop_after(int steps) {
  TrainCallbacks callbacks;
  const auto taken = std::make_shared<int>(0);
  callbacks.on_step = [taken](const StepProgress&) { ++*taken; };
  callbacks.should_stop = [taken, steps] { return *taken >= steps; };
  return callbacks;
}

}  // namespace headstart::test
