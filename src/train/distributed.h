// The group of processes that take every step together, as the training loop sees it: sums over all ranks, and rank 0's word.
//
// A default Group is one process: sums are what they were, and nothing waits. Every rank makes the same calls in the same order. A call
// that waits for others throws when one of them has failed or is gone; docs/decisions/0005-distributed.md. Thread-safety: one thread
// (backward's hooks call it while that thread waits for them). Ownership: copies share the connections.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "headstart/distributed.h"
#include "model/network.h"

namespace headstart {

// Of n things in order: [begin, end). Shares differ by at most one; the first ranks have the larger ones.
struct Share {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

class Group {
 public:
  Group() = default;
  // Waits until all ranks are there; should_stop is asked meanwhile.
  Group(const Distributed& where, const std::function<bool()>& should_stop);

  int rank() const;
  int size() const;
  bool leads() const { return rank() == 0; }  // writes and reports
  bool alone() const { return impl_ == nullptr; }
  Share share(std::int64_t n) const;
  // This rank's share of them.
  template <typename T>
  std::span<const T> part_of(std::span<const T> all) const {
    const Share own = share(std::ssize(all));
    return all.subspan(static_cast<std::size_t>(own.begin), static_cast<std::size_t>(own.size()));
  }

  // For tensors on this device.
  void add_device(const at::Device& device) const;

  // In place, with the same bits on every rank.
  void sum(at::Tensor& tensor) const;
  void sum(std::span<double> values) const;
  bool any(bool mine) const;
  // Of the parameters that are trained. A rank without photos has none of its own, which count as zeros.
  void sum_gradients(std::span<const NamedParameter> parameters) const;

  // Rank 0's.
  void broadcast(std::span<const at::Tensor> tensors) const;  // float32, in place
  std::string broadcast(const std::string& bytes) const;
  // Everybody's, by rank.
  std::vector<std::string> gather(const std::string& bytes) const;

  // True once any rank's own should_stop was true: the others hear of it within about a second, wherever they are.
  std::function<bool()> shared_stop(std::function<bool()> should_stop) const;

  // The end: ranks other than 0 wait for rank 0, which may still write.
  void finish(const std::function<bool()>& should_stop) const;
  // Tells the others why this rank goes. Throws the error, which is being handled, again: as ReportedError where rank 0 will report it.
  [[noreturn]] void fail(const Error& error) const;

 private:
  struct Impl;
  void broadcast(at::Tensor& tensor) const;
  void sum_all(std::span<at::Tensor> tensors) const;
  std::shared_ptr<Impl> impl_;
};

}  // namespace headstart
