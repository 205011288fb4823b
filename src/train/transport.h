// LibTorch's c10d behind a small face: the store at rank 0, and collectives over Gloo (tensors on the CPU) or NCCL (on CUDA devices).
//
// Every rank makes the same calls in the same order. Waiting is done in slices: `poll` is called in between and ends the wait by throwing.
// Thread-safety: one thread; a Store from store() has a connection of its own and belongs to one other thread. Errors: kNetwork; what Gloo
// and NCCL throw when a connection breaks comes through as std::exception.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "headstart/distributed.h"

namespace headstart {

using Poll = std::function<void()>;

// Keys and values that all ranks see.
class Store {
 public:
  virtual ~Store() = default;
  virtual void set(const std::string& key, const std::string& value) = 0;
  virtual bool has(const std::vector<std::string>& keys) = 0;
  virtual std::vector<std::string> get(const std::vector<std::string>& keys) = 0;  // all of them are there
};

class Transport {
 public:
  // Connects to the store, which rank 0 opens.
  Transport(const Distributed& group, const Poll& poll);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  std::unique_ptr<Store> store() const;
  // Connects the ranks to each other; all of them are at the store.
  void connect();
  // Tensors on this device can take part as well; CPU tensors always can.
  void add_device(const at::Device& device);

  // Elementwise sums over the ranks, in place and with the same bits on every rank. Contiguous tensors on one device.
  void sum(std::span<at::Tensor> tensors, const Poll& poll);
  // Rank 0's values, in place.
  void broadcast(at::Tensor& tensor, const Poll& poll);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headstart
