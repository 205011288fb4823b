#include "headstart/classifier.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/file.h"
#include "core/thread_pool.h"
#include "eval/scoring.h"
#include "headstart/error.h"
#include "image/pipeline.h"
#include "model/memory.h"
#include "weights/model_file.h"

namespace headstart {
namespace {

// The architecture that the file names; the registry blames the caller for an unknown name, here it is the file.
const Architecture& architecture_of(const std::filesystem::path& model_file, const std::string& name) {
  try {
    return find_architecture(name);
  } catch (const Error& error) {
    throw Error(ErrorCategory::kModel, fmt::format("open model {}: this version of headstart does not know its architecture: {}",
                                                   model_file.string(), error.what()));
  }
}

std::unique_ptr<Network> build_network(const std::filesystem::path& model_file, const ModelFile& file) {
  const Architecture& architecture = architecture_of(model_file, file.info.architecture);
  // The architecture's own maker leaves out the random initialisation, which load() would overwrite.
  std::unique_ptr<Network> network = architecture.make(architecture, static_cast<std::int64_t>(file.info.classes.size()), at::kCPU);
  try {
    network->load(file.weights, /*with_head=*/true);
  } catch (const Error& error) {
    throw Error(error.category(), fmt::format("open model {}: {}", model_file.string(), error.what()));
  }
  return network;
}

}  // namespace

struct Classifier::Impl {
  ModelInfo info;
  ScoringOptions scoring;
  std::unique_ptr<Network> network;
  std::optional<FoldedNetwork> folded;  // there once the network is where it is to compute

  // pixels: u8 [1, crop, crop, 3]
  template <typename Source>
  std::vector<float> predict(const Source& source, Workspace& workspace) const {
    const auto side = static_cast<std::size_t>(info.preprocessing.crop_size);
    std::vector<std::uint8_t> pixels(side * side * 3);
    render_evaluation_view(source, info.preprocessing, workspace, pixels);
    return score_pixels(*folded, pixels, 1, scoring);
  }
};

Classifier Classifier::open(const std::filesystem::path& model_file, const ClassifierOptions& options) {
  auto impl = std::make_unique<Impl>();
  {
    ModelFile file = read_model_file(model_file);
    impl->network = build_network(model_file, file);
    impl->info = std::move(file.info);
  }
  const at::Device device = resolve_device(options.device);
  impl->scoring = {.preprocessing = impl->info.preprocessing,
                   .precision = resolve_precision(options.precision, device),
                   .device = device,
                   .temperature = impl->info.temperature,
                   .threads = resolve_threads(options.threads)};
  at::set_num_threads(impl->scoring.threads);
  keep_large_tensors();
  impl->network->to(device);
  impl->folded.emplace(*impl->network, dtype_of(impl->scoring.precision));
  return Classifier(std::move(impl));
}

Classifier::Classifier(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Classifier::Classifier(Classifier&&) noexcept = default;
Classifier& Classifier::operator=(Classifier&&) noexcept = default;
Classifier::~Classifier() = default;

const ModelInfo& Classifier::info() const { return impl_->info; }

std::vector<float> Classifier::predict_file(const std::filesystem::path& path) const {
  Workspace workspace;
  std::vector<std::byte> encoded;
  read_file(path, encoded);
  try {
    return impl_->predict(std::span<const std::byte>(encoded), workspace);
  } catch (const Error& error) {
    if (error.category() != ErrorCategory::kData) throw;
    throw Error(error.category(), fmt::format("read photo {}: {}", path.string(), error.what()));
  }
}

std::vector<float> Classifier::predict_encoded(std::span<const std::byte> encoded) const {
  Workspace workspace;
  return impl_->predict(encoded, workspace);
}

std::vector<float> Classifier::predict(const Image& image) const {
  const auto expected = static_cast<std::size_t>(std::max(image.size.height, 0)) * static_cast<std::size_t>(std::max(image.size.width, 0));
  if (expected == 0 || image.rgb.size() / 3 != expected || image.rgb.size() % 3 != 0) {
    throw Error(ErrorCategory::kUsage, fmt::format("predict: a picture of height {} and width {} with {} bytes of pixels; expected three "
                                                   "bytes a pixel and at least one pixel",
                                                   image.size.height, image.size.width, image.rgb.size()));
  }
  Workspace workspace;
  return impl_->predict(image, workspace);
}

std::vector<float> Classifier::predict_rgb(std::span<const std::uint8_t> rgb, ImageSize size) const {
  return predict(Image{.size = size, .rgb = {rgb.begin(), rgb.end()}});
}

void Classifier::predict_stream(const std::function<std::optional<std::filesystem::path>()>& next,
                                const std::function<void(const PhotoPrediction&)>& sink, const StreamOptions& options) const {
  ScoringOptions scoring = impl_->scoring;
  scoring.batch_size = options.batch_size;
  scoring.should_stop = options.should_stop;
  score_stream(*impl_->folded, next, sink, scoring);
}

}  // namespace headstart
