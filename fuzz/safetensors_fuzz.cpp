// read_safetensors over arbitrary bytes: a state dict or an Error, nothing else. Seeds: tests/golden/weights, tests/corpus/weights.
#include <cstddef>
#include <cstdint>
#include <span>

#include "headstart/error.h"
#include "weights/state_dict.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    headstart::read_safetensors(std::as_bytes(std::span(data, size)));
  } catch (const headstart::Error&) {
  }
  return 0;
}
