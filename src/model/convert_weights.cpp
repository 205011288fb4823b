// Weights files from format to format, for the networks of the registry.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>

#include "headstart/error.h"
#include "headstart/models.h"
#include "model/gluon_names.h"
#include "model/network.h"
#include "weights/gluon_params.h"
#include "weights/state_dict.h"

namespace headstart {
namespace {

// Whose names a file of the format is expected to carry, where a network has two sets of them.
enum class Naming { kAsRead, kTorchvision, kGluon };

struct FileFormat {
  std::string_view suffix;
  std::string_view name;  // for people
  Naming naming;
  void (*write)(const std::filesystem::path&, const StateDict&);
};

constexpr std::array<FileFormat, 4> kFormats = {{{".params", "Gluon parameters", Naming::kGluon, write_gluon_params},
                                                 {".pth", "PyTorch file", Naming::kTorchvision, write_torch_zip},
                                                 {".pt", "PyTorch file", Naming::kTorchvision, write_torch_zip},
                                                 {".safetensors", "safetensors", Naming::kAsRead, write_safetensors}}};

// One network, two sets of names for its tensors, in the same order.
struct Twins {
  std::string_view torchvision, gluon;
};
constexpr std::array<Twins, 2> kTwins = {{{"resnet18", "resnet18_v1"}, {"resnet34", "resnet34_v1"}}};

const FileFormat& format_of(const std::filesystem::path& out) {
  const std::string suffix = out.extension().string();
  for (const FileFormat& format : kFormats) {
    if (suffix == format.suffix) return format;
  }
  throw Error(ErrorCategory::kUsage,
              fmt::format("convert: the suffix of {} names no format; expected .params (Gluon), .pth or .pt (PyTorch) "
                          "or .safetensors",
                          out.string()));
}

void refuse_existing(const std::filesystem::path& out) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(out, ignored))) {
    throw Error(ErrorCategory::kFile,
                fmt::format("convert: {} exists already; choose another name, or ask for it to be replaced (--force)", out.string()));
  }
}

std::string_view named_as(std::string_view architecture, Naming naming) {
  for (const Twins& twins : kTwins) {
    if (architecture != twins.torchvision && architecture != twins.gluon) continue;
    if (naming == Naming::kTorchvision) return twins.torchvision;
    if (naming == Naming::kGluon) return twins.gluon;
  }
  return architecture;
}

// The network's tensors in its order, under the names of `target`; the output layer where there is one. Throws Error(kModel) when they are
// not those of `source`.
StateDict tensors_of(const StateDict& state, const Architecture& source, const Architecture& target) {
  const std::string head = std::string(source.head_prefix) + ".";
  const HostTensor* const output = state.find(head + "weight");
  const std::int64_t classes = output != nullptr && !output->shape.empty() ? std::max<std::int64_t>(output->shape[0], 1) : 1;
  source.make(source, classes, at::kCPU)->load(state, /*with_head=*/output != nullptr);
  const auto names = source.make(source, classes, at::kMeta)->tensors();
  const auto target_names = target.make(target, classes, at::kMeta)->tensors();
  StateDict result;
  result.metadata = state.metadata;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const HostTensor* const tensor = output != nullptr || !names[i].first.starts_with(head) ? state.find(names[i].first) : nullptr;
    if (tensor != nullptr) result.tensors.emplace_back(target_names.at(i).first, *tensor);
  }
  return result;
}

}  // namespace

Converted convert_weights(const std::filesystem::path& in, const std::filesystem::path& out, const ConvertOptions& options) {
  const FileFormat& format = format_of(out);
  if (!options.overwrite) refuse_existing(out);
  const StateDict state = with_structural_names(read_weights(in));
  const Architecture& source = choose_architecture(state, options.architecture, in);
  const Architecture& target = find_architecture(named_as(source.name, format.naming));
  const StateDict converted = tensors_of(state, source, target);
  format.write(out, converted);
  return {.architecture = std::string(target.name),
          .format = std::string(format.name),
          .tensors = static_cast<std::int64_t>(converted.tensors.size())};
}

}  // namespace headstart
