#include "train/workload.h"

#include <fmt/format.h>

#include <unordered_set>

#include "headstart/error.h"
#include "headstart/text.h"
#include "train/frozen_prefix.h"

namespace headstart {

std::unique_ptr<Workload> make_workload(Network& network, const Catalog& catalog, const ResolvedOptions& options,
                                        SharedInputs::Impl& shared, const TrainCallbacks& callbacks, const Group& group) {
  const std::size_t frozen = frozen_stages(network, options.freeze_until);
  for (const NamedParameter& parameter : network.parameters()) {
    parameter.tensor.set_requires_grad(is_trained(parameter, options, frozen));
  }
  if (options.recipe == Recipe::kHead) return make_feature_workload(network, catalog, options, shared.features, callbacks, group);
  return make_photo_workload(network, catalog, options, shared, group);
}

bool shares_statistics(const ResolvedOptions& options, const Group& group) { return options.sync_batch_norm && !group.alone(); }

bool is_trained(const NamedParameter& parameter, const ResolvedOptions& options, std::size_t frozen_stages) {
  if (options.recipe == Recipe::kHead) return parameter.in_head;
  if (parameter.stage < frozen_stages) return false;
  const bool of_norm = parameter.role == ParameterRole::kNormScale || parameter.role == ParameterRole::kNormShift;
  return !(of_norm && options.batch_norm == BatchNormPolicy::kFrozen);
}

std::uint32_t view_of_epoch(const ResolvedOptions& options, std::uint32_t epoch) {
  return options.views > 0 ? epoch % static_cast<std::uint32_t>(options.views) : epoch;
}

ScoringOptions scoring_options(const ResolvedOptions& options, const TrainCallbacks& callbacks) {
  return {.preprocessing = options.preprocessing,
          .precision = options.precision,
          .device = at::Device(options.device),
          .threads = options.threads,
          .should_stop = callbacks.should_stop};
}

FeatureProgress stage_progress(const TrainCallbacks& callbacks, std::int64_t total) {
  const auto done = std::make_shared<std::int64_t>(0);
  const auto advance = [&callbacks, total, done](std::int64_t photos) {
    *done += photos;
    if (callbacks.on_stage) callbacks.on_stage(Stage::kFeatures, *done, total);
  };
  return {.advance = advance, .should_stop = callbacks.should_stop};
}

FeatureTable checked_features(FeatureStore& features, Network& network, const Catalog& catalog, Split split, const ResolvedOptions& options,
                              const FeatureProgress& progress, const Group& group) {
  FeatureTable table = features.table(network, catalog, split, options, progress, group);
  check_unreadable(table.unreadable, catalog.samples(split).size(), split, options);
  return table;
}

void check_unreadable(const std::vector<Problem>& unreadable, std::size_t photos, Split split, const ResolvedOptions& options) {
  if (static_cast<double>(unreadable.size()) <= options.max_unreadable_share * static_cast<double>(photos)) return;
  std::vector<std::string> reasons;
  for (const Problem& problem : unreadable) reasons.push_back(fmt::format("{} ({})", problem.path, problem.reason));
  throw Error(
      ErrorCategory::kData,
      fmt::format("training: {} of {} {} photos cannot be read, more than the allowed share of {}: {}. Repair or remove them, or raise "
                  "max_unreadable_share",
                  unreadable.size(), photos, to_string(split), human_percent(options.max_unreadable_share), join_some(reasons)));
}

void add_unreadable(std::vector<Problem>& known, const std::vector<Problem>& more) {
  std::unordered_set<std::string> paths;
  for (const Problem& problem : known) paths.insert(problem.path);
  for (const Problem& problem : more) {
    if (paths.insert(problem.path).second) known.push_back(problem);
  }
}

// Paths may hold any byte but zero: each text ends with one.
std::vector<Problem> gather_problems(const Group& group, const std::vector<Problem>& own) {
  if (group.alone()) return own;
  std::string packed;
  for (const Problem& problem : own) {
    for (const std::string& text : {problem.path, problem.reason}) packed.append(text.c_str(), text.size() + 1);
  }
  std::vector<Problem> all;
  for (const std::string& part : group.gather(packed)) {
    std::vector<Problem> problems;
    for (const char* at = part.data(); at != part.data() + part.size();) {
      problems.emplace_back();
      for (std::string* text : {&problems.back().path, &problems.back().reason}) at += text->assign(at).size() + 1;
    }
    add_unreadable(all, problems);
  }
  return all;
}

}  // namespace headstart
