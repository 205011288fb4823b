#include "headstart/evaluate.h"

#include <fmt/format.h>

#include <utility>

#include "eval/scoring.h"
#include "headstart/error.h"

namespace headstart {

Evaluation evaluate(const Classifier& classifier, const Catalog& catalog, Split split, const EvaluateOptions& options) {
  const std::vector<std::string>& classes = classifier.info().classes;
  if (catalog.classes != classes) {
    throw Error(ErrorCategory::kUsage, fmt::format("evaluate {}: the catalogue's {} classes are not the model's {}; scan the folder with "
                                                   "scan_for_evaluation() and the model's classes",
                                                   catalog.root.string(), catalog.classes.size(), classes.size()));
  }
  const PhotoStream stream = [&](const auto& next, const auto& sink) {
    classifier.predict_stream(next, sink, {.batch_size = options.batch_size, .should_stop = options.should_stop});
  };
  ScoredSamples scored = collect_scores(stream, catalog.root, catalog.samples(split), options.on_progress);
  if (scored.photos.empty()) {
    const std::string why = scored.unreadable.empty()
                                ? std::string("the split is empty")
                                : fmt::format("none of its {} photos could be read; the first, {}: {}", scored.unreadable.size(),
                                              scored.unreadable.front().path, scored.unreadable.front().reason);
    throw Error(ErrorCategory::kData, fmt::format("evaluate the {} photos of {}: {}", to_string(split), catalog.root.string(), why));
  }
  Evaluation evaluation;
  evaluation.metrics = compute_metrics(scored.photos, static_cast<int>(classes.size()));
  evaluation.photos = std::move(scored.photos);
  evaluation.unreadable = std::move(scored.unreadable);
  return evaluation;
}

}  // namespace headstart
