#include "train/agree.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "headstart/text.h"
#include "report/run_files.h"

namespace headstart {
namespace {

// Where things are on a machine, not what is computed: the source weights are compared by their SHA-256.
const std::set<std::string> kOwnToAMachine = {"photos", "out", "model", "device", "threads"};

std::vector<std::string> differences(const nlohmann::json& first, const nlohmann::json& other) {
  std::vector<std::string> names;
  for (const auto& [name, value] : first.items()) {
    if (kOwnToAMachine.contains(name) || other.value(name, nlohmann::json()) == value) continue;
    names.push_back(fmt::format("{} ({}, rank 0: {})", name, other.value(name, nlohmann::json()).dump(), value.dump()));
  }
  return names;
}

}  // namespace

void agree_on(const Group& group, ResolvedOptions& options, const Catalog& catalog) {
  if (group.alone()) return;
  const nlohmann::json own = {
      {"options", nlohmann::json::parse(options_to_json(options))}, {"version", HEADSTART_VERSION}, {"photos", fingerprint(catalog)}};
  const std::vector<std::string> all = group.gather(own.dump());
  const nlohmann::json first = nlohmann::json::parse(all.front());
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const nlohmann::json other = nlohmann::json::parse(all[rank]);
    std::vector<std::string> names = differences(first.at("options"), other.at("options"));
    if (first.at("version") != other.at("version")) {
      names.push_back(fmt::format("headstart's version ({}, rank 0: {})", other.at("version").dump(), first.at("version").dump()));
    }
    if (!names.empty()) {
      throw Error(ErrorCategory::kUsage,
                  fmt::format("training: rank {} was started with other options than rank 0: {}. Start all ranks with "
                              "the same command line",
                              rank, join_some(names, names.size())));
    }
    if (first.at("photos") == other.at("photos")) continue;
    throw Error(ErrorCategory::kData, fmt::format("training: rank {} sees other photos in {} than rank 0: names, sizes and times of change "
                                                  "must be equal (rsync -a keeps the times)",
                                                  rank, other.at("options").at("photos").dump()));
  }
  options.out = options_from_json(first.at("options").dump()).out;
}

}  // namespace headstart
