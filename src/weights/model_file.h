// The model file: a safetensors file whose metadata holds everything that prediction needs, as JSON (docs/formats.md).
#pragma once

#include <filesystem>
#include <string>

#include "headstart/classifier.h"
#include "weights/state_dict.h"

namespace headstart {

void write_model_file(const std::filesystem::path& path, const ModelInfo& info, const StateDict& weights);

struct ModelFile {
  ModelInfo info;
  StateDict weights;
};
// Throws Error(kModel) when it is no headstart model file; a plain weights file is told so, with what to do (`train --model FILE`).
ModelFile read_model_file(const std::filesystem::path& path);

// JSON forms, shared with run.json and checkpoints. from_json checks every field and its range.
std::string preprocessing_to_json(const Preprocessing& preprocessing);
Preprocessing preprocessing_from_json(const std::string& json);

}  // namespace headstart
