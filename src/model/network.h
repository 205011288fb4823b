// Networks over LibTorch's tensor functions (ATen): parameters and buffers carry the state-dict names of the published weights.
//
// Layout: activations are channels_last when the input is. Compute dtype is the input's (float32 or bfloat16); parameters stay float32 and
// are cast where they are used, so gradients arrive in float32.
// Thread-safety: forward passes with running statistics under NoGradGuard from any number of threads; everything else from one thread.
// Ownership: layers hold handles of the same tensors that parameters() and buffers() list. Change values in place (copy_, set_data), never
// by assigning to a handle; replace_head() is the exception and gives the list new handles, so gather what an optimizer needs after it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headstart/preprocess.h"
#include "headstart/train.h"
#include "weights/state_dict.h"

namespace headstart {

enum class ParameterRole { kWeight, kBias, kNormScale, kNormShift };

struct NamedParameter {
  std::string name;  // "layer1.0.conv1.weight"
  at::Tensor tensor;
  ParameterRole role = ParameterRole::kWeight;
  std::size_t stage = 0;  // that it belongs to; behind the last one: the output layer's
  bool in_head = false;   // belongs to the output layer
};

struct NamedBuffer {
  std::string name;  // "bn1.running_mean"
  at::Tensor tensor;
};

// What a forward pass does with batch norm.
enum class NormMode {
  kBatchStatistics,    // normalise with the batch, update running statistics
  kRunningStatistics,  // normalise with running statistics, leave them alone
};

// Adds up a float64 tensor over the processes that share a batch, in place; called in the same order in each of them.
using SumOverProcesses = std::function<void(at::Tensor&)>;

class FoldedWeights;  // model/folding.h

// How batch norms work in one pass.
struct NormPass {
  NormPass(NormMode mode_in, const SumOverProcesses* shared_in = nullptr) : mode(mode_in), shared(shared_in) {}  // a mode alone is enough
  NormPass(const FoldedWeights& folded_in) : mode(NormMode::kRunningStatistics), shared(nullptr), folded(&folded_in) {}
  NormMode mode;
  // With kBatchStatistics: those of the whole batch, of which x is this process's share, perhaps none of it. Must outlive the backward
  // pass.
  const SumOverProcesses* shared;
  // Convolutions and norms in one, without gradients, x in their dtype; or nullptr.
  const FoldedWeights* folded = nullptr;
};

// A part of the network that a photo passes as a whole; the first takes [N, 3, H, W], the last gives [N, C, H', W'].
struct NetworkStage {
  std::string name;  // "stem", "layer1"
  std::function<at::Tensor(at::Tensor x, NormPass norm)> run;
};

struct NewHead {
  std::uint64_t seed = 0;
  HeadInit weight = HeadInit::kXavier;
  HeadBias bias = HeadBias::kZero;
};

class Network {
 public:
  virtual ~Network() = default;

  // x [N, 3, H, W] → pooled features [N, feature_count()], in x's dtype.
  at::Tensor features(const at::Tensor& x, NormPass norm) const { return pool(run_stages(x, 0, stages_.size(), norm)); }
  // Through the stages [first, last) alone; x is what stage `first` takes.
  at::Tensor run_stages(at::Tensor x, std::size_t first, std::size_t last, NormPass norm) const;
  // What the last stage gives → pooled features.
  static at::Tensor pool(const at::Tensor& x);
  // features → logits [N, classes], float32.
  at::Tensor head(const at::Tensor& features) const;
  at::Tensor forward(const at::Tensor& x, NormPass norm) const { return head(features(x, norm)); }
  // The weights and running statistics of the first `stages` stages as they are now, for passes through these without gradients.
  virtual std::shared_ptr<const FoldedWeights> fold(at::ScalarType dtype, std::size_t stages) const = 0;
  std::shared_ptr<const FoldedWeights> fold(at::ScalarType dtype) const { return fold(dtype, stages_.size()); }

  std::int64_t feature_count() const;
  std::int64_t classes() const;
  // The output layer's weight [classes, features] (kWeight) or bias [classes] (kBias).
  const at::Tensor& head_tensor(ParameterRole role) const;
  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  const std::vector<NamedBuffer>& buffers() const { return buffers_; }
  const std::vector<NetworkStage>& stages() const { return stages_; }  // first to last
  std::string_view architecture() const { return architecture_; }

  void to(const at::Device& device);

  // Gives the network a new output layer, drawn from the seed; weight zero under HeadInit::kClass and kProbe, which are filled in from
  // elsewhere (train/head_init.h). float32 [classes, features].
  void replace_head(std::int64_t classes, const NewHead& head);

  // Copies tensors by name. What must fit: every parameter and running statistic of the network (the output layer only when `with_head`).
  // num_batches_tracked may be absent and is ignored. Throws Error(kModel) listing missing, unexpected and differently shaped tensors.
  void load(const StateDict& state, bool with_head);

  // Every parameter and buffer, published names and order, as host copies. num_batches_tracked is left out: PyTorch's strict
  // load_state_dict accepts that from a state dict without version metadata, which is what a safetensors file is.
  StateDict state() const;
  // The same as live tensors, for bit-exact snapshots.
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;

 protected:
  // Called by the concrete networks while they are built.
  at::Tensor& add_parameter(std::string name, std::vector<std::int64_t> shape, ParameterRole role, bool in_head = false);
  at::Tensor& add_buffer(std::string name, std::vector<std::int64_t> shape, float value);
  // Of the parameters that were added since the stage before.
  void add_stage(std::string name, std::function<at::Tensor(at::Tensor x, NormPass norm)> run);

  std::vector<NamedParameter> parameters_;
  std::vector<NamedBuffer> buffers_;
  std::string architecture_;
  at::Device build_device_ = at::kCPU;  // where add_parameter and add_buffer allocate; kMeta: names and shapes only

 private:
  struct Place {
    bool is_buffer = false;
    std::size_t index = 0;
  };
  struct NamedView {
    const std::string& name;
    const at::Tensor& tensor;
    bool in_head = false;
  };
  NamedView view(Place place) const;
  std::string head_prefix() const;  // "fc.", with the dot
  std::size_t head_index(ParameterRole role) const;

  std::vector<NetworkStage> stages_;
  std::vector<Place> order_;  // as published: a layer's parameters, then its running statistics
};

// A known architecture: one row of the registry (registry.cpp).
struct Architecture {
  std::string_view name;         // "resnet18"
  std::string_view head_prefix;  // "fc", "_fc"
  Preprocessing preprocessing;   // of the published weights
  // Builds the network with zero weights: for those who load them next. device kMeta: names and shapes only, no memory.
  std::unique_ptr<Network> (*make)(const Architecture& self, std::int64_t classes, const at::Device& device);
};

std::span<const Architecture> architectures();
// Throws Error(kUsage) with the known names.
const Architecture& find_architecture(std::string_view name);
// The architecture whose tensor names and shapes are exactly the state dict's, the output layer and num_batches_tracked aside; nullptr when
// none is. Needs no tensor bytes.
const Architecture* recognize_architecture(const StateDict& state);
// The architecture that is asked for by name, else (`asked` empty) the recognised one. Throws Error(kUsage) for an unknown name,
// Error(kModel) naming `file` when the tensors fit no architecture.
const Architecture& choose_architecture(const StateDict& state, std::string_view asked, const std::filesystem::path& file);

// A network with PyTorch-like default initialisation drawn from seed: convolutions Kaiming normal (fan-out, ReLU; depthwise ones by their
// own fan-out), norms 1 and 0, the output layer uniform within 1/sqrt(features). Throws Error(kUsage) for an unknown name or no classes.
std::unique_ptr<Network> make_network(std::string_view architecture, std::int64_t classes, std::uint64_t seed = 0);

// Conversions between engine and host tensors; copies. to_engine throws Error(kModel) when the bytes do not match dtype and shape.
at::Tensor to_engine(const HostTensor& tensor);
HostTensor to_host(const at::Tensor& tensor);

// "auto" → the first CUDA device when LibTorch has one, else the CPU; "cpu", "cuda", "cuda:1". Throws Error(kDevice) naming what is there.
at::Device resolve_device(const std::string& name);
// kAuto → bfloat16 where the device computes it fast (AVX-512 BF16 or AMX; CUDA 8.0 and up), else float32.
Precision resolve_precision(Precision precision, const at::Device& device);

// Of kFloat32 and kBFloat16.
at::ScalarType dtype_of(Precision precision);

// u8 [N, crop, crop, 3] → normalised [N, 3, crop, crop] channels_last on the device, in float32 or bfloat16.
at::Tensor to_input(std::span<const std::uint8_t> pixels, int count, const Preprocessing& preprocessing, Precision precision,
                    const at::Device& device);

}  // namespace headstart
