#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/hash.h"

namespace headstart {
namespace {

struct Draw {
  std::uint64_t key = 0;
  std::uint32_t index = 0;  // into the samples; equal keys fall back on it, which is the order of the paths
  friend auto operator<=>(const Draw&, const Draw&) = default;
};

// Of paths below `folder`.
std::vector<std::vector<Draw>> draws_by_class(const std::vector<Sample>& samples, std::size_t classes, std::string_view folder,
                                              std::uint64_t seed) {
  const std::size_t prefix = folder.empty() ? 0 : folder.size() + 1;
  std::vector<std::vector<Draw>> draws(classes);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Sample& sample = samples[i];
    const std::uint64_t key = fast_hash(std::string_view(sample.path).substr(prefix), seed);
    draws[static_cast<std::size_t>(sample.label)].push_back({key, static_cast<std::uint32_t>(i)});
  }
  return draws;
}

}  // namespace

std::int64_t validation_count(std::int64_t photos, double fraction) {
  if (photos < 2) return 0;
  return std::clamp<std::int64_t>(std::llround(fraction * static_cast<double>(photos)), 1, photos - 1);
}

void split_off_validation(Catalog& catalog, std::string_view train_folder, const ScanOptions& options) {
  std::vector<bool> chosen(catalog.train.size(), false);
  auto draws = draws_by_class(catalog.train, catalog.classes.size(), train_folder, options.seed);
  for (std::size_t label = 0; label < draws.size(); ++label) {
    std::vector<Draw>& photos = draws[label];
    const std::int64_t count = validation_count(static_cast<std::int64_t>(photos.size()), options.validation_fraction);
    if (count == 0) {
      catalog.problems.push_back(
          {catalog.train[photos.front().index].path, "the only photo of its class: trained on, none is left to validate with"});
      continue;
    }
    std::nth_element(photos.begin(), photos.begin() + (count - 1), photos.end());
    for (std::int64_t i = 0; i < count; ++i) chosen[photos[static_cast<std::size_t>(i)].index] = true;
  }
  catalog.validation.clear();
  catalog.validation.reserve(static_cast<std::size_t>(std::count(chosen.begin(), chosen.end(), true)));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i]) {
      catalog.validation.push_back(std::move(catalog.train[i]));
    } else {
      if (kept != i) catalog.train[kept] = std::move(catalog.train[i]);
      ++kept;
    }
  }
  catalog.train.resize(kept);
  catalog.validation_was_split_off = true;
}

void keep_share(Catalog& catalog, double share, std::uint64_t seed) {
  constexpr double kFewest = 2;
  for (std::vector<Sample>* const samples : {&catalog.train, &catalog.validation, &catalog.test}) {
    std::vector<bool> kept(samples->size(), false);
    for (std::vector<Draw>& photos : draws_by_class(*samples, catalog.classes.size(), "", seed)) {
      const double wanted = std::max(std::ceil(share * static_cast<double>(photos.size())), kFewest);
      const auto count = std::min(static_cast<std::ptrdiff_t>(wanted), std::ssize(photos));
      std::nth_element(photos.begin(), photos.begin() + count, photos.end());
      for (std::ptrdiff_t i = 0; i < count; ++i) kept[photos[static_cast<std::size_t>(i)].index] = true;
    }
    std::size_t place = 0;
    std::erase_if(*samples, [&](const Sample&) { return !kept[place++]; });
  }
}

}  // namespace headstart
