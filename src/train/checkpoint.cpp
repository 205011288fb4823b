#include "train/checkpoint.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/file.h"
#include "headstart/error.h"
#include "report/run_files.h"

namespace headstart {
namespace {

// Frozen: a checkpoint of another version is refused.
constexpr std::string_view kFormat = "headstart checkpoint 1";

nlohmann::json to_json(const Position& position, const EpochSums& sums) {
  return {{"epoch", position.epoch},     {"batch", position.batch}, {"loss", sums.loss},
          {"weight", sums.weight},       {"correct", sums.correct}, {"photos", sums.photos},
          {"requested", sums.requested}, {"seconds", sums.seconds}, {"wait_seconds", sums.wait_seconds}};
}

void from_json(const nlohmann::json& json, Position& position, EpochSums& sums) {
  position = {.epoch = json.at("epoch"), .batch = json.at("batch")};
  sums = {.loss = json.at("loss"),
          .weight = json.at("weight"),
          .correct = json.at("correct"),
          .photos = json.at("photos"),
          .requested = json.at("requested"),
          .seconds = json.at("seconds"),
          .wait_seconds = json.at("wait_seconds")};
  if (position.epoch < 0 || position.batch < 0) throw Error(ErrorCategory::kModel, "its position is negative");
}

void append(StateDict& file, std::string_view prefix, const StateDict& part) {
  for (const auto& [name, tensor] : part.tensors) file.tensors.emplace_back(fmt::format("{}{}", prefix, name), tensor);
}

StateDict extract(const StateDict& file, std::string_view prefix) {
  StateDict part;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(prefix)) part.tensors.emplace_back(name.substr(prefix.size()), tensor);
  }
  return part;
}

void expect_finite(const StateDict& weights) {
  for (const auto& [name, tensor] : weights.tensors) {
    if (tensor.dtype != Dtype::kFloat32) continue;
    const std::span<const std::byte> bytes = tensor.data();
    for (std::size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
      float value;
      std::memcpy(&value, bytes.data() + at, sizeof value);
      if (!std::isfinite(value)) {
        throw Error(ErrorCategory::kTraining,
                    fmt::format("checkpoint: the weights are no longer finite ({}); the last checkpoint is kept. Try "
                                "a lower lr, a longer warm-up, or clip_norm 1",
                                name));
      }
    }
  }
}

bool best_is_current(const Checkpoint& checkpoint) {
  const TrainResult& progress = checkpoint.progress;
  const bool has_best = kept_record(progress) != nullptr || progress.options.epochs == 0;
  return has_best && checkpoint.average.tensors.empty() && checkpoint.position.batch == 0 &&
         checkpoint.position.epoch == progress.best_epoch;
}

const std::string& metadata(const StateDict& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) throw Error(ErrorCategory::kModel, fmt::format("its metadata has no \"{}\"", key));
  return found->second;
}

Checkpoint unpack(const StateDict& file) {
  if (metadata(file, "format") != kFormat) {
    throw Error(ErrorCategory::kModel, fmt::format("its format is \"{}\", expected \"{}\"", metadata(file, "format"), kFormat));
  }
  Checkpoint checkpoint;
  checkpoint.progress = run_from_json(metadata(file, "run"));
  from_json(nlohmann::json::parse(metadata(file, "position")), checkpoint.position, checkpoint.sums);
  checkpoint.provenance = nlohmann::json::parse(metadata(file, "provenance")).get<std::map<std::string, std::string>>();
  checkpoint.model = extract(file, "model.");
  checkpoint.optimizer = extract(file, "optimizer.");
  checkpoint.average = extract(file, "average.");
  checkpoint.refit = extract(file, "refit.");
  checkpoint.best = best_is_current(checkpoint) ? checkpoint.model : extract(file, "best.");
  return checkpoint;
}

StateDict pack(const Checkpoint& checkpoint) {
  StateDict file;
  append(file, "model.", checkpoint.model);
  append(file, "optimizer.", checkpoint.optimizer);
  append(file, "average.", checkpoint.average);
  append(file, "refit.", checkpoint.refit);
  if (!best_is_current(checkpoint)) append(file, "best.", checkpoint.best);
  file.metadata["format"] = kFormat;
  file.metadata["run"] = run_to_json(checkpoint.progress);
  file.metadata["position"] = to_json(checkpoint.position, checkpoint.sums).dump();
  file.metadata["provenance"] = nlohmann::json(checkpoint.provenance).dump();
  return file;
}

}  // namespace

const EpochRecord* kept_record(const TrainResult& progress) {
  if (progress.best_epoch > 0) return &progress.history[static_cast<std::size_t>(progress.best_epoch - 1)];
  return progress.start ? &*progress.start : nullptr;
}

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  expect_finite(checkpoint.model);
  write_safetensors(path, pack(checkpoint));
}

std::string checkpoint_bytes(const Checkpoint& checkpoint) { return safetensors_bytes(pack(checkpoint)); }

Checkpoint checkpoint_from_bytes(const std::string& bytes) { return unpack(read_safetensors(std::as_bytes(std::span(bytes)))); }

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  try {
    return unpack(read_safetensors(MappedFile(path).bytes()));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCategory::kModel, fmt::format("checkpoint {}: its metadata is damaged: {}", path.string(), error.what()));
  } catch (const Error& error) {
    throw Error(error.category(), fmt::format("checkpoint {}: {}", path.string(), error.what()));
  }
}

}  // namespace headstart
