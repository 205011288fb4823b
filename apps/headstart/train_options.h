// The options of `train`: what a person asks for, before the library resolves it.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "headstart/train.h"

namespace headstart::cli {

// Parts of an augmentation that are replaced.
struct AugmentationRequest {
  std::optional<double> min_area, max_area, min_aspect, max_aspect, flip_probability;
  bool exact = false;

  Augmentation over(Augmentation base) const;
};

struct TrainRequest {
  TrainOptions options;
  AugmentationRequest augmentation;             // over the recipe's own
  std::optional<std::filesystem::path> resume;  // the run folder to go on with
  std::filesystem::path log_file;
  std::string devices;  // the --devices list
  // Parts of the source model's own preprocessing that are replaced.
  std::optional<ResizeMode> resize;
  std::optional<int> resize_size, crop_size;
  std::optional<Interpolation> interpolation;
  std::optional<std::array<float, 3>> mean, std;
  DecodeOptions decode;
};

// Declares every option of `train` on the subcommand; `request` outlives it.
void add_train_options(CLI::App& command, TrainRequest& request);

// --min-area … --flip-probability, --exact-augmentation: also of `preview`, which shows what they do.
void add_augmentation_options(CLI::App& command, AugmentationRequest& augmentation);

// TrainOptions with the changed parts of the preprocessing filled in.
TrainOptions train_options(const CLI::App& command, const TrainRequest& request);

// What was given beside --resume, as the run must have it.
ResumeOptions resume_options(const CLI::App& command, const TrainRequest& request);

}  // namespace headstart::cli
