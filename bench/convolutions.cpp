// The limit: the convolutions of a network alone, called straight from oneDNN, without norms, activations or an optimizer.
//
// convolutions_bench forward|train resnet18|efficientnet_lite0 float32|bfloat16 BATCH [SECONDS]
// Pictures of 224x224. Every primitive chooses its layouts (tag any), weights are packed once, memory is allocated once, in huge pages
// where the system has them. train: also the gradients of weights and, but for the first convolution, of inputs. Prints what network_bench
// prints.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using dnnl::memory;

struct Shape {
  int in, out, kernel, stride, side;  // side of the input
  bool depthwise = false;
  bool symmetric = false;  // padding of kernel / 2 on every side; otherwise TensorFlow's "same"

  int out_side() const { return (side + stride - 1) / stride; }
  int padding() const { return symmetric ? 2 * (kernel / 2) : std::max(0, (out_side() - 1) * stride + kernel - side); }
};

std::vector<Shape> resnet18() {
  std::vector<Shape> shapes = {{3, 64, 7, 2, 224, false, true}};
  int in = 64, side = 56;
  for (int stage = 0; stage < 4; ++stage) {
    const int out = 64 << stage, stride = stage == 0 ? 1 : 2;
    if (stride == 2) shapes.push_back({in, out, 1, 2, side, false, true});
    shapes.push_back({in, out, 3, stride, side, false, true});
    side /= stride;
    for (int i = 0; i < 3; ++i) shapes.push_back({out, out, 3, 1, side, false, true});
    in = out;
  }
  return shapes;
}

std::vector<Shape> efficientnet_lite0() {
  struct Stage {
    int repeats, kernel, stride, expand, out;
  };
  std::vector<Shape> shapes = {{3, 32, 3, 2, 224}};
  int in = 32, side = 112;
  for (const Stage& stage : {Stage{1, 3, 1, 1, 16},
                             {2, 3, 2, 6, 24},
                             {2, 5, 2, 6, 40},
                             {3, 3, 2, 6, 80},
                             {3, 5, 1, 6, 112},
                             {4, 5, 2, 6, 192},
                             {1, 3, 1, 6, 320}}) {
    for (int i = 0; i < stage.repeats; ++i) {
      const int width = in * stage.expand, stride = i == 0 ? stage.stride : 1;
      if (stage.expand > 1) shapes.push_back({in, width, 1, 1, side});
      shapes.push_back({width, width, stage.kernel, stride, side, true});
      side /= stride;
      shapes.push_back({width, stage.out, 1, 1, side});
      in = stage.out;
    }
  }
  shapes.push_back({in, 1280, 1, 1, side});
  return shapes;
}

// What different primitives share in turn, as large as the largest of them needs it.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    const std::size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    data_.reset(std::aligned_alloc(kHugePage, rounded));
    if (!data_) throw std::bad_alloc();
    madvise(data_.get(), rounded, MADV_HUGEPAGE);
    std::memset(data_.get(), 0x3c, bytes);  // 0.011, as float32 and as bfloat16
  }
  void* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(void* data) const { std::free(data); }
  };
  std::unique_ptr<void, Free> data_;
};

// Scratchpads are ours as well: the library's own come and go with every call.
dnnl::primitive_attr with_our_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// oneDNN 3 makes a description out of the arguments, 2 by way of a descriptor.
template <typename Operation, typename... Arguments>
typename Operation::primitive_desc describe(const dnnl::engine& engine, const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., with_our_scratchpad()};
#else
  return {typename Operation::desc(arguments...), with_our_scratchpad(), engine};
#endif
}

template <typename Operation, typename... Arguments>
typename Operation::primitive_desc describe_backward(const dnnl::engine& engine, const dnnl::convolution_forward::primitive_desc& forward,
                                                     const Arguments&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, arguments..., forward, with_our_scratchpad()};
#else
  return {typename Operation::desc(arguments...), with_our_scratchpad(), engine, forward};
#endif
}

struct Call {
  dnnl::primitive primitive;
  memory::desc scratchpad;
  std::unordered_map<int, memory> arguments;
};

class Convolutions {
 public:
  Convolutions(const std::vector<Shape>& shapes, memory::data_type type, int batch, bool train)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_), type_(type) {
    for (const Shape& shape : shapes) add(shape, batch, train);
    // A convolution reads what the one before it wrote: kept until the way back in training, else two buffers in turn.
    for (std::size_t i = 0; i < plans_.size(); ++i) bind(i, train);
    std::reverse(backward_.begin(), backward_.end());
    scratchpad_ = std::make_unique<Buffer>(scratchpad_bytes_);
    for (auto* calls : {&forward_, &backward_}) {
      for (Call& call : *calls) call.arguments.emplace(DNNL_ARG_SCRATCHPAD, place(call.scratchpad, *scratchpad_));
    }
  }

  void step() {
    for (const auto* calls : {&forward_, &backward_}) {
      for (const Call& call : *calls) call.primitive.execute(stream_, call.arguments);
    }
    stream_.wait();
  }

 private:
  struct Plan {
    dnnl::convolution_forward::primitive_desc forward;
    dnnl::convolution_backward_data::primitive_desc data;
    dnnl::convolution_backward_weights::primitive_desc weights;
    bool has_data = false;
  };

  void add(const Shape& shape, int batch, bool train) {
    const int out_side = shape.out_side(), padding = shape.padding(), groups = shape.depthwise ? shape.in : 1;
    const auto any = [&](const memory::dims& dims) { return memory::desc(dims, type_, memory::format_tag::any); };
    const memory::desc src = any({batch, shape.in, shape.side, shape.side}), dst = any({batch, shape.out, out_side, out_side});
    memory::dims weight_dims = {shape.out / groups, shape.in / groups, shape.kernel, shape.kernel};
    if (shape.depthwise) weight_dims.insert(weight_dims.begin(), groups);
    const memory::desc weights = any(weight_dims);
    const memory::dims strides = {shape.stride, shape.stride};
    // As much as the stride leaves over on the far side is not read.
    const int left = shape.symmetric ? shape.kernel / 2 : padding / 2;
    const int right = (out_side - 1) * shape.stride + shape.kernel - shape.side - left;
    const memory::dims before = {left, left}, after = {right, right};
    const dnnl::prop_kind kind = train ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    const dnnl::algorithm direct = dnnl::algorithm::convolution_direct;
    Plan plan;
    plan.forward = describe<dnnl::convolution_forward>(engine_, kind, direct, src, weights, dst, strides, before, after);
    if (train) {
      plan.has_data = !plans_.empty();
      if (plan.has_data) {
        plan.data =
            describe_backward<dnnl::convolution_backward_data>(engine_, plan.forward, direct, src, weights, dst, strides, before, after);
      }
      plan.weights =
          describe_backward<dnnl::convolution_backward_weights>(engine_, plan.forward, direct, src, weights, dst, strides, before, after);
    }
    plans_.push_back(plan);
    widest_ = std::max({widest_, plan.forward.src_desc().get_size(), plan.forward.dst_desc().get_size()});
    if (!train) return;
    widest_ = std::max({widest_, plan.weights.diff_dst_desc().get_size(), plan.has_data ? plan.data.diff_src_desc().get_size() : 0,
                        plan.has_data ? plan.data.diff_dst_desc().get_size() : 0});
  }

  template <typename Description>
  Call call(const Description& description, std::unordered_map<int, memory> arguments) {
    scratchpad_bytes_ = std::max(scratchpad_bytes_, description.scratchpad_desc().get_size());
    return {dnnl::primitive(description.get()), description.scratchpad_desc(), std::move(arguments)};
  }

  memory place(const memory::desc& desc, const Buffer& buffer) const { return {desc, engine_, buffer.get()}; }

  memory own(const memory::desc& desc) {
    buffers_.push_back(std::make_unique<Buffer>(desc.get_size()));
    return place(desc, *buffers_.back());
  }

  const Buffer& scratch(std::size_t i) {
    while (scratch_.size() <= i) scratch_.push_back(std::make_unique<Buffer>(widest_));
    return *scratch_[i];
  }

  // What lies between convolution i - 1 and convolution i.
  std::size_t activation_bytes(std::size_t i) const {
    const std::size_t written = i > 0 ? plans_[i - 1].forward.dst_desc().get_size() : 0;
    if (i == plans_.size()) return written;
    return std::max({written, plans_[i].forward.src_desc().get_size(), plans_[i].weights.src_desc().get_size()});
  }

  const Buffer& activation(std::size_t i, bool train) {
    if (!train) return scratch(i % 2);
    while (activations_.size() <= i) activations_.push_back(std::make_unique<Buffer>(activation_bytes(activations_.size())));
    return *activations_[i];
  }

  void bind(std::size_t i, bool train) {
    const Plan& plan = plans_[i];
    const memory source = place(plan.forward.src_desc(), activation(i, train));
    forward_.push_back(call(plan.forward, {{DNNL_ARG_SRC, source},
                                           {DNNL_ARG_WEIGHTS, own(plan.forward.weights_desc())},
                                           {DNNL_ARG_DST, place(plan.forward.dst_desc(), activation(i + 1, train))}}));
    if (!train) return;
    const Buffer &diff_dst = scratch(i % 2), &diff_src = scratch((i + 1) % 2);
    if (plan.has_data) {  // reversed in the end: the weights' gradient comes first
      backward_.push_back(call(plan.data, {{DNNL_ARG_DIFF_SRC, place(plan.data.diff_src_desc(), diff_src)},
                                           {DNNL_ARG_WEIGHTS, own(plan.data.weights_desc())},
                                           {DNNL_ARG_DIFF_DST, place(plan.data.diff_dst_desc(), diff_dst)}}));
    }
    backward_.push_back(call(plan.weights, {{DNNL_ARG_SRC, place(plan.weights.src_desc(), activation(i, train))},
                                            {DNNL_ARG_DIFF_WEIGHTS, own(plan.weights.diff_weights_desc())},
                                            {DNNL_ARG_DIFF_DST, place(plan.weights.diff_dst_desc(), diff_dst)}}));
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  memory::data_type type_;
  std::vector<Plan> plans_;
  std::size_t widest_ = 0, scratchpad_bytes_ = 0;
  std::unique_ptr<Buffer> scratchpad_;
  std::vector<std::unique_ptr<Buffer>> buffers_, scratch_, activations_;
  std::vector<Call> forward_, backward_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void run(const std::vector<std::string>& arguments) {
  const bool train = arguments[0] == "train";
  const int batch = std::stoi(arguments[3]);
  const double seconds = arguments.size() > 4 ? std::stod(arguments[4]) : 5;
  Convolutions convolutions(arguments[1] == "resnet18" ? resnet18() : efficientnet_lite0(),
                            arguments[2] == "bfloat16" ? memory::data_type::bf16 : memory::data_type::f32, batch, train);
  for (int i = 0; i < 2; ++i) convolutions.step();
  std::vector<double> times;
  const std::clock_t processor = std::clock();
  for (double spent = 0; spent < seconds; spent += times.back()) {
    const auto start = std::chrono::steady_clock::now();
    convolutions.step();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double processor_seconds = static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{:.2f} images/s, {:.2f} ms of processor time an image, {} MiB\n", batch / median(times),
             1e3 * processor_seconds / static_cast<double>(std::ssize(times) * batch), usage.ru_maxrss / 1024);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() < 4)
      throw std::invalid_argument("usage: forward|train resnet18|efficientnet_lite0 float32|bfloat16 BATCH [SECONDS]");
    run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "convolutions_bench: {}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
