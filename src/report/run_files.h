// The run folder's text files: run.json, log.csv, predictions.csv, dataset.csv. docs/formats.md describes them for readers.
//
// Thread-safety: pure functions. Errors: from-functions throw Error(kModel) naming the field that is missing or out of range.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "headstart/train.h"

namespace headstart {

// ResolvedOptions as one flat JSON object; keys are the command line's long option names with '_' ("batch_size", "head_lr_multiplier").
std::string options_to_json(const ResolvedOptions& options);
ResolvedOptions options_from_json(const std::string& json);
// Names of the options whose values differ, each with both values: "epochs (run: 5, asked: 10)". Takes run.json names → asked text.
std::vector<std::string> differing_options(const ResolvedOptions& run, const std::map<std::string, std::string>& asked);
// The same of every option but those in `except`.
std::vector<std::string> differing_options(const ResolvedOptions& run, const ResolvedOptions& asked,
                                           const std::vector<std::string>& except);

// The whole result without per-photo predictions; reads back equal.
std::string run_to_json(const TrainResult& result);
TrainResult run_from_json(const std::string& json);

// A row an epoch. The points of the curve between them are rows of a fractional epoch that hold training loss and accuracy alone.
std::string log_to_csv(std::span<const EpochRecord> history, std::span<const TrainingPoint> curve);
// "finetune", "book-pytorch", as on the command line.
std::string recipe_word(Recipe recipe);
// What predictions_to_csv() wrote (probabilities to 6 digits).
std::vector<ScoredPhoto> predictions_from_csv(const std::string& csv, std::size_t classes);
// path, split, label, bytes, mtime_ns: what the fingerprint covers, so that a change can be named.
std::string dataset_to_csv(const Catalog& catalog);
// The first few photos that were added, removed or changed between the stored dataset.csv and the catalogue; empty when equal.
std::vector<std::string> dataset_changes(const std::string& stored_csv, const Catalog& now);

}  // namespace headstart
