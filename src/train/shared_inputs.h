// What runs of one process share; see SharedInputs in headstart/train.h.
//
// Thread-safety: one thread, but for the decoded photos, which loader threads use.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/decoded_photos.h"
#include "headstart/train.h"
#include "train/feature_store.h"
#include "train/source.h"

namespace headstart {

struct SharedInputs::Impl {
  explicit Impl(const MemoryBounds& bounds)
      : decoded(bounds.pixel_bytes > 0 ? std::make_shared<DecodedPhotos>(bounds.pixel_bytes) : nullptr),
        prefix_bytes(bounds.prefix_bytes) {}

  // open_source() and scan_photos(), once for each distinct request.
  std::shared_ptr<const Source> source(const SourceRequest& request);
  const Catalog& catalog(const std::filesystem::path& photos, const ScanOptions& options);

  FeatureStore features;
  std::shared_ptr<DecodedPhotos> decoded;  // null where no room is given for any
  const std::int64_t prefix_bytes;         // as MemoryBounds'

 private:
  std::map<std::string, std::shared_ptr<const Source>> sources_;
  std::map<std::string, Catalog> catalogs_;
};

// A run of its own shares with nobody, so it keeps no decoded photos.
std::shared_ptr<SharedInputs> shared_or_own(const std::shared_ptr<SharedInputs>& shared);

// What a person asked for, checked and with every gap filled, and the source that the gaps were filled from.
std::pair<std::shared_ptr<const Source>, ResolvedOptions> resolve_with_source(const TrainOptions& asked, SharedInputs& shared,
                                                                              const TrainCallbacks& callbacks);

// Names of the options whose value is left to the machine, so that two runs of one request may differ in them; and "out", a place.
std::vector<std::string> options_left_open(const TrainOptions& asked);

}  // namespace headstart
