// From what a person asked for to what a run does: every default in one place.
//
// Thread-safety: pure functions but for the look at the machine (device, cores, free run folder). Errors: kUsage printing the bad value,
// kDevice.
#pragma once

#include "headstart/train.h"
#include "train/source.h"

namespace headstart {

// Refuses what cannot be meant, before anything is fetched or read.
void check_options(const TrainOptions& options);

// Fills every gap by recipe, source model and machine. Expects options that passed check_options().
// The source model that is meant: the recipe's own where none was named.
std::string source_name(const TrainOptions& options);
// The source model's preprocessing with what the recipe changes of it.
Preprocessing recipe_preprocessing(Recipe recipe, Preprocessing of_source);

// runs/<prefix><photos' folder name>-<n>.
std::filesystem::path numbered_run_folder(std::string_view prefix, const std::filesystem::path& photos, int n);

// The threads and the device of a process, where it may be one of several: cores are divided, each process of a machine has a device.
int rank_threads(int threads, const std::optional<Distributed>& group);
at::Device rank_device(const std::string& name, const std::optional<Distributed>& group);

ResolvedOptions resolve_options(const TrainOptions& options, const Source& source);

}  // namespace headstart
