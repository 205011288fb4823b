// Which photos of a folder are set aside: for validation where the person gave none, or for want of time.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headstart/dataset.h"

namespace headstart {

// Photos that go to validation out of `photos` of a class: the rounded share, at least one on each side; 0 for a single photo.
std::int64_t validation_count(std::int64_t photos, double fraction);

// Moves each class's share from catalog.train to catalog.validation (both stay sorted by path) and names classes with a single photo in
// catalog.problems. Chosen are the photos with the smallest keyed hash of their path below `train_folder`: the choice depends on
// (seed, those paths) alone, and a photo that is added later moves at most one other photo across.
void split_off_validation(Catalog& catalog, std::string_view train_folder, const ScanOptions& options);

// Leaves of every class and split the share of its photos, at least two of each (or as many as there are). Chosen by a keyed hash of their
// path, so that a smaller share is a part of a larger one.
void keep_share(Catalog& catalog, double share, std::uint64_t seed);

}  // namespace headstart
