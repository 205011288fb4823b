#include "train/distributed.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "train/roll_call.h"
#include "train/transport.h"

namespace headstart {
namespace {

// Large enough that a message's fixed cost is nothing, small enough that filling one overlaps with sending another.
constexpr std::int64_t kBucketBytes = 25 << 20;

at::Tensor byte_tensor(std::size_t bytes) { return at::zeros({static_cast<std::int64_t>(bytes)}, at::kByte); }

void put(at::Tensor& target, std::size_t offset, const std::string& bytes) {
  if (!bytes.empty()) std::memcpy(target.mutable_data_ptr<std::uint8_t>() + offset, bytes.data(), bytes.size());
}

std::string take(const at::Tensor& source, std::size_t offset, std::size_t count) {
  return {reinterpret_cast<const char*>(source.const_data_ptr<std::uint8_t>()) + offset, count};
}

at::Tensor flattened(std::span<const at::Tensor> tensors) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& tensor : tensors) rows.push_back(tensor.reshape(-1));
  return at::cat(rows);
}

void restore(const at::Tensor& flat, std::span<const at::Tensor> tensors) {
  std::int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.copy_(flat.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
    offset += tensor.numel();
  }
}

std::int64_t bytes_of(const at::Tensor& tensor) { return tensor.numel() * static_cast<std::int64_t>(tensor.element_size()); }

Poll stop_poll(const std::function<bool()>& should_stop) {
  return [&should_stop] {
    if (should_stop && should_stop()) throw Error(ErrorCategory::kInterrupted, "stopped while the ranks were waiting for each other");
  };
}

}  // namespace

struct Group::Impl {
  Impl(const Distributed& where_in, const Poll& poll) : where(where_in), transport(where, poll), roll_call(transport.store(), where, poll) {
    together([this](const Poll&) { transport.connect(); });
  }

  // Carries out a collective; when a connection breaks, finds out whose end it was.
  template <typename Work>
  void together(const Work& work) {
    try {
      work([this] { roll_call.check(); });
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      roll_call.explain(error.what());
    }
  }

  Distributed where;
  Transport transport;
  RollCall roll_call;
};

Group::Group(const Distributed& where, const std::function<bool()>& should_stop) {
  if (where.world_size == 1) return;
  try {
    impl_ = std::make_shared<Impl>(where, stop_poll(should_stop));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorCategory::kNetwork, fmt::format("rank {} could not join the group at {}:{}: {}", where.rank, where.master_address,
                                                     where.master_port, error.what()));
  }
}

int Group::rank() const { return alone() ? 0 : impl_->where.rank; }
int Group::size() const { return alone() ? 1 : impl_->where.world_size; }

Share Group::share(std::int64_t n) const {
  const std::int64_t each = n / size(), more = n % size();
  const std::int64_t begin = rank() * each + std::min<std::int64_t>(rank(), more);
  return {begin, begin + each + (rank() < more ? 1 : 0)};
}

void Group::add_device(const at::Device& device) const {
  if (!alone()) impl_->transport.add_device(device);
}

void Group::sum_all(std::span<at::Tensor> tensors) const {
  if (!alone()) impl_->together([&](const Poll& poll) { impl_->transport.sum(tensors, poll); });
}

void Group::sum(at::Tensor& tensor) const { sum_all({&tensor, 1}); }

void Group::sum(std::span<double> values) const {
  if (alone()) return;
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<double>());
  sum(tensor);
  std::copy_n(tensor.const_data_ptr<double>(), values.size(), values.begin());
}

bool Group::any(bool mine) const {
  double count = mine ? 1 : 0;
  sum({&count, 1});
  return count > 0;
}

void Group::sum_gradients(std::span<const NamedParameter> parameters) const {
  if (alone()) return;
  const c10::NoGradGuard no_gradients;
  std::vector<std::vector<at::Tensor>> buckets;
  std::int64_t bytes = kBucketBytes;
  for (const NamedParameter& parameter : parameters) {
    if (!parameter.tensor.requires_grad()) continue;
    at::Tensor& gradient = parameter.tensor.mutable_grad();
    if (!gradient.defined()) gradient = at::zeros_like(parameter.tensor);
    if (std::exchange(bytes, bytes + bytes_of(gradient)) >= kBucketBytes) {
      buckets.emplace_back();
      bytes = bytes_of(gradient);
    }
    buckets.back().push_back(gradient);
  }
  std::vector<at::Tensor> flat;
  for (const std::vector<at::Tensor>& bucket : buckets) flat.push_back(flattened(bucket));
  sum_all(flat);
  for (std::size_t i = 0; i < buckets.size(); ++i) restore(flat[i], buckets[i]);
}

void Group::broadcast(at::Tensor& tensor) const {
  impl_->together([&](const Poll& poll) { impl_->transport.broadcast(tensor, poll); });
}

void Group::broadcast(std::span<const at::Tensor> tensors) const {
  if (alone() || tensors.empty()) return;
  const c10::NoGradGuard no_gradients;
  at::Tensor flat = flattened(tensors);
  broadcast(flat);
  restore(flat, tensors);
}

std::string Group::broadcast(const std::string& bytes) const {
  if (alone()) return bytes;
  at::Tensor size = at::full({1}, static_cast<std::int64_t>(bytes.size()), at::kLong);
  broadcast(size);
  const auto count = static_cast<std::size_t>(size.item<std::int64_t>());
  at::Tensor all = byte_tensor(count);
  if (leads()) put(all, 0, bytes);
  if (count > 0) broadcast(all);
  return take(all, 0, count);
}

// Sums of zeros and the one rank's bytes.
std::vector<std::string> Group::gather(const std::string& bytes) const {
  if (alone()) return {bytes};
  at::Tensor sizes = at::zeros({size()}, at::kLong);
  sizes[rank()] = static_cast<std::int64_t>(bytes.size());
  sum(sizes);
  const auto* const size = sizes.const_data_ptr<std::int64_t>();
  std::vector<std::size_t> begin = {0};
  for (int i = 0; i < this->size(); ++i) begin.push_back(begin.back() + static_cast<std::size_t>(size[i]));
  at::Tensor all = byte_tensor(begin.back());
  put(all, begin[static_cast<std::size_t>(rank())], bytes);
  if (all.numel() > 0) sum(all);
  std::vector<std::string> parts;
  for (std::size_t i = 0; i + 1 < begin.size(); ++i) parts.push_back(take(all, begin[i], begin[i + 1] - begin[i]));
  return parts;
}

std::function<bool()> Group::shared_stop(std::function<bool()> should_stop) const {
  if (alone()) return should_stop;
  return [impl = impl_, own = std::move(should_stop)] {
    if (own && own()) impl->roll_call.ask_to_stop();
    return impl->roll_call.stop_asked();
  };
}

void Group::finish(const std::function<bool()>& should_stop) const {
  if (alone()) return;
  const std::function<bool()> stop = shared_stop(should_stop);
  while (!leads() && !impl_->roll_call.is_done(0)) {
    impl_->roll_call.check();
    stop();  // rank 0 hears of it
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  impl_->roll_call.say_done();
  if (leads()) impl_->roll_call.wait_until_all_left(impl_->where.silence_seconds);
}

void Group::fail(const Error& error) const {
  if (alone()) throw;
  const auto* const of_peer = dynamic_cast<const PeerFailure*>(&error);
  const bool told = of_peer != nullptr ? impl_->roll_call.say_done() : impl_->roll_call.say_failed(error);
  if (!leads() && told) throw ReportedError(error.category(), error.what());
  constexpr double kGoodbye = 5;  // seconds for the others to read it
  if (leads()) impl_->roll_call.wait_until_all_left(kGoodbye);
  throw;
}

}  // namespace headstart
