#include "train/frozen_prefix.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "headstart/error.h"
#include "headstart/text.h"
#include "model/folding.h"

namespace headstart {

std::size_t frozen_stages(const Network& network, std::string_view freeze_until) {
  if (freeze_until.empty()) return 0;
  std::vector<std::string> names;
  for (const NetworkStage& stage : network.stages()) names.push_back(stage.name);
  const auto found = std::find(names.begin(), names.end(), freeze_until);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin()) + 1;
  throw Error(ErrorCategory::kUsage, fmt::format("training: option freeze_until must be a stage of {} ({}), but is {}",
                                                 network.architecture(), join_some(names, names.size()), freeze_until));
}

FrozenPrefix::FrozenPrefix(const Network& network, std::size_t stages, const ResolvedOptions& options)
    : network_(network), stages_(stages), weights_(network.fold(dtype_of(options.precision), stages)) {
  const std::int64_t side = options.preprocessing.crop_size;
  const at::Tensor photo = at::zeros({1, 3, side, side}, at::TensorOptions(dtype_of(options.precision)).device(at::Device(options.device)));
  shape_ = run(photo.contiguous(at::MemoryFormat::ChannelsLast))[0].sizes().vec();
}

at::Tensor FrozenPrefix::run(const at::Tensor& x) const {
  const c10::NoGradGuard no_gradients;
  return network_.run_stages(x, 0, stages_, *weights_).contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace headstart
