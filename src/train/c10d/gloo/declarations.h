// Declarations in the place of gloo's headers, which LibTorch's wheels leave out although c10d's ProcessGroupGloo.hpp includes them.
// Nothing of these types is used by value: ProcessGroupGloo holds them behind smart pointers, and the code is inside libtorch_cpu.so. Seen
// by train/transport.cpp alone; docs/decisions/0005-distributed.md says why.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace rendezvous {

// c10d's GlooStore overrides these; it is declared in the header, and only ever made inside LibTorch.
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string& key, const std::vector<char>& data) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};

}  // namespace rendezvous

namespace transport {

class Device;

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer();
};

}  // namespace transport
}  // namespace gloo
