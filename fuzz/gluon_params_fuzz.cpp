// read_gluon_params over arbitrary bytes: a state dict or an Error, nothing else. Seeds: tests/golden/weights, tests/corpus/weights.
#include <cstddef>
#include <cstdint>
#include <span>

#include "headstart/error.h"
#include "weights/gluon_params.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    headstart::read_gluon_params(std::as_bytes(std::span(data, size)));
  } catch (const headstart::Error&) {
  }
  return 0;
}
