#include "train/shared_inputs.h"

#include <fmt/format.h>

#include "train/resolve.h"

namespace headstart {

SharedInputs::SharedInputs(const MemoryBounds& bounds) : impl_(std::make_unique<Impl>(bounds)) {}
SharedInputs::~SharedInputs() = default;

std::int64_t SharedInputs::features_computed() const { return impl_->features.computed(); }

// A weights file that training from scratch reads for its architecture alone is the same source as for fine-tuning.
std::shared_ptr<const Source> SharedInputs::Impl::source(const SourceRequest& request) {
  const std::string key = fmt::format("{}\n{}\n{}", request.model, request.architecture, reads_weights(request));
  const auto found = sources_.find(key);
  return found != sources_.end() ? found->second : sources_[key] = std::make_shared<const Source>(open_source(request));
}

const Catalog& SharedInputs::Impl::catalog(const std::filesystem::path& photos, const ScanOptions& options) {
  const std::string key = fmt::format("{}\n{} {}", photos.string(), options.validation_fraction, options.seed);
  const auto found = catalogs_.find(key);
  return found != catalogs_.end() ? found->second : catalogs_[key] = scan_photos(photos, options);
}

std::shared_ptr<SharedInputs> shared_or_own(const std::shared_ptr<SharedInputs>& shared) {
  return shared ? shared : std::make_shared<SharedInputs>(MemoryBounds{.pixel_bytes = 0});
}

std::pair<std::shared_ptr<const Source>, ResolvedOptions> resolve_with_source(const TrainOptions& asked, SharedInputs& shared,
                                                                              const TrainCallbacks& callbacks) {
  check_options(asked);
  std::shared_ptr<const Source> source = shared.impl().source({.model = source_name(asked),
                                                               .architecture = asked.architecture,
                                                               .scratch = asked.scratch,
                                                               .log = asked.log,
                                                               .should_stop = callbacks.should_stop});
  ResolvedOptions options = resolve_options(asked, *source);
  return {std::move(source), std::move(options)};
}

std::vector<std::string> options_left_open(const TrainOptions& asked) {
  std::vector<std::string> open = {"out", "device", "processes"};  // other devices and processes are allowed, and logged
  if (asked.threads == 0) open.emplace_back("threads");
  if (asked.precision == Precision::kAuto) open.emplace_back("precision");
  if (!asked.preprocessing && asked.recipe == Recipe::kAuto) {  // the run chose them
    open.insert(open.end(), {"resize", "resize_size", "crop_size"});
  }
  return open;
}

}  // namespace headstart
