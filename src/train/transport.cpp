#include "train/transport.h"

#include <ATen/ATen.h>
#include <c10/util/Logging.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef HEADSTART_CUDA
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <utility>

#include "headstart/error.h"
#include "train/address.h"

namespace headstart {
namespace {

using WorkHandle = c10::intrusive_ptr<c10d::Work>;

// No limit of c10d's own: one rank may write or score for an hour while the others wait. Who is alive is known from the roll call.
constexpr std::chrono::hours kNoLimit{24 * 365};

std::chrono::milliseconds milliseconds(double seconds) { return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds)); }

class C10dStore final : public Store {
 public:
  explicit C10dStore(c10::intrusive_ptr<c10d::Store> store) : store_(std::move(store)) {}
  void set(const std::string& key, const std::string& value) override { store_->set(key, value); }
  bool has(const std::vector<std::string>& keys) override { return store_->check(keys); }
  std::vector<std::string> get(const std::vector<std::string>& keys) override {
    std::vector<std::string> values;
    for (const std::vector<std::uint8_t>& value : store_->multiGet(keys)) values.emplace_back(value.begin(), value.end());
    return values;
  }

 private:
  c10::intrusive_ptr<c10d::Store> store_;
};

c10::intrusive_ptr<c10d::Store> open_store(const Distributed& group, const Poll& poll) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(group.master_port);
  options.isServer = group.rank == 0;
  options.waitWorkers = false;
  options.timeout = milliseconds(group.join_seconds);
  if (options.isServer) {
    options.masterListenFd = listen_at(group.master_address, group.master_port);
  } else {
    wait_for_listener(group, poll);
  }
  try {
    return c10::make_intrusive<c10d::TCPStore>(group.master_address, options);
  } catch (const c10::Error& error) {
    throw Error(ErrorCategory::kNetwork, fmt::format("rank {}: what listens at {}:{} is no rank 0 of a headstart group: {}", group.rank,
                                                     group.master_address, group.master_port, error.what_without_backtrace()));
  }
}

// What c10d prints of broken connections, with a stack each, is said in our own errors. TORCH_CPP_LOG_LEVEL brings it back.
void silence_c10d() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
}

bool all_done(const std::vector<WorkHandle>& works) {
  return std::all_of(works.begin(), works.end(), [](const WorkHandle& work) { return work->isCompleted(); });
}

}  // namespace

struct Transport::Impl {
  Distributed group;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> cpu, cuda;
  std::vector<WorkHandle> pending;

  c10d::Backend& backend(const at::Device& device) { return device.is_cpu() ? *cpu : *cuda; }

  // Polled rather than waited for: a wait inside c10d could not be ended when another rank has died without closing its connections.
  void finish(const Poll& poll) {
    constexpr std::chrono::microseconds kShortest{20}, kLongest{1000};
    auto pause = kShortest;
    while (!all_done(pending)) {
      poll();
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, kLongest);
    }
    for (const WorkHandle& work : std::exchange(pending, {})) work->wait();
  }
};

Transport::Transport(const Distributed& group, const Poll& poll) : impl_(std::make_unique<Impl>()) {
  silence_c10d();
  impl_->group = group;
  impl_->store = open_store(group, poll);
}

// A collective that another rank will never finish would keep the backend's destructor waiting: then it is left to the end of the process.
Transport::~Transport() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!all_done(impl_->pending) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  if (!all_done(impl_->pending) && impl_->cuda) impl_->cuda->abort();  // ends NCCL's kernels; Gloo has no such call
  if (all_done(impl_->pending)) return;
  static auto* const left_alone = std::make_unique<std::vector<std::unique_ptr<Impl>>>().release();
  left_alone->push_back(std::move(impl_));
}

std::unique_ptr<Store> Transport::store() const { return std::make_unique<C10dStore>(impl_->store->clone()); }

void Transport::connect() {
  const auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(impl_->group.join_seconds));
  const std::optional<std::string> interface = named_interface();
  options->devices.push_back(interface ? c10d::ProcessGroupGloo::createDeviceForInterface(*interface)
                                       : c10d::ProcessGroupGloo::createDeviceForHostname(own_address(impl_->group)));
  const auto store = c10::make_intrusive<c10d::PrefixStore>("gloo", impl_->store->clone());
  impl_->cpu = c10::make_intrusive<c10d::ProcessGroupGloo>(store, impl_->group.rank, impl_->group.world_size, options);
  impl_->cpu->setTimeout(kNoLimit);
}

void Transport::add_device(const at::Device& device) {
  if (device.is_cpu()) return;
#ifdef HEADSTART_CUDA
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = kNoLimit;
  const auto store = c10::make_intrusive<c10d::PrefixStore>("nccl", impl_->store->clone());
  impl_->cuda = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, impl_->group.rank, impl_->group.world_size, options);
  impl_->cuda->setBoundDeviceId(device);
#else
  throw Error(ErrorCategory::kDevice, fmt::format("several processes on {}: this headstart was built without CUDA", device.str()));
#endif
}

void Transport::sum(std::span<at::Tensor> tensors, const Poll& poll) {
  for (const at::Tensor& tensor : tensors) {
    std::vector<at::Tensor> one = {tensor};
    impl_->pending.push_back(impl_->backend(tensor.device()).allreduce(one));
  }
  impl_->finish(poll);
}

void Transport::broadcast(at::Tensor& tensor, const Poll& poll) {
  std::vector<at::Tensor> one = {tensor};
  impl_->pending.push_back(impl_->backend(tensor.device()).broadcast(one));
  impl_->finish(poll);
}

}  // namespace headstart
