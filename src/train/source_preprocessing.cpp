#include <filesystem>

#include "headstart/error.h"
#include "headstart/models.h"
#include "headstart/train.h"
#include "model/network.h"
#include "weights/state_dict.h"

namespace headstart {
namespace {

bool is_known(const std::string& name) {
  for (const SourceModel& model : source_models()) {
    if (model.name == name) return true;
  }
  return false;
}

}  // namespace

Preprocessing source_preprocessing(const TrainOptions& options) {
  if (!options.architecture.empty()) return find_architecture(options.architecture).preprocessing;
  if (options.model.empty()) return find_architecture(source_models().front().architecture).preprocessing;
  if (is_known(options.model) || !std::filesystem::exists(options.model)) {
    return find_architecture(find_source_model(options.model).architecture).preprocessing;
  }
  const Architecture* const architecture = recognize_architecture(read_weights(options.model));
  if (architecture == nullptr) {
    throw Error(ErrorCategory::kModel, options.model + ": the architecture cannot be told from its tensors; name it with --architecture");
  }
  return architecture->preprocessing;
}

}  // namespace headstart
