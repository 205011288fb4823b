// predictions.csv: one row a scored photo. src/report/run_csv.cpp reads it back.
#include <fmt/format.h>

#include "headstart/error.h"
#include "headstart/evaluate.h"
#include "headstart/text.h"

namespace headstart {

std::string predictions_to_csv(std::span<const ScoredPhoto> photos, std::span<const std::string> classes) {
  std::string out = "path,label,predicted,probability,correct";
  for (const std::string& name : classes) out += "," + csv_field(name);
  out += '\n';
  for (const ScoredPhoto& photo : photos) {
    if (photo.probabilities.size() != classes.size() || photo.label < 0 || static_cast<std::size_t>(photo.label) >= classes.size()) {
      throw Error(ErrorCategory::kUsage, fmt::format("write predictions: photo '{}' does not fit {} classes", photo.path, classes.size()));
    }
    const ClassScore best = top_scores(photo.probabilities, 1).front();
    out += fmt::format("{},{},{},{:.6f},{}", csv_field(photo.path), csv_field(classes[static_cast<std::size_t>(photo.label)]),
                       csv_field(classes[static_cast<std::size_t>(best.label)]), best.probability, best.label == photo.label ? 1 : 0);
    for (const float probability : photo.probabilities) out += fmt::format(",{:.6f}", probability);
    out += '\n';
  }
  return out;
}

}  // namespace headstart
