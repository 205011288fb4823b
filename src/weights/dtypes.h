// The number formats that weights files name, in PyTorch's and safetensors' spelling. Formats without a Dtype are known by name and size,
// so that a file can be walked and the refusal can name them.
//
// Thread-safety: constants.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "weights/state_dict.h"

namespace headstart {

struct DtypeRow {
  std::string_view torch_name;        // "float32", as in torch.float32
  std::string_view torch_alias;       // "float", or empty
  std::string_view storage_name;      // "FloatStorage", or empty
  std::string_view safetensors_name;  // "F32", or empty
  std::size_t element_bytes;
  std::optional<Dtype> dtype;  // empty: known, not supported
};

std::span<const DtypeRow> dtype_rows();
const DtypeRow* find_torch_dtype(std::string_view name);        // "float32" or "float"
const DtypeRow* find_torch_storage(std::string_view name);      // "FloatStorage"
const DtypeRow* find_safetensors_dtype(std::string_view name);  // "F32"

// Product of the dimensions times the element size; nullopt when it does not fit 63 bits. Dimensions must not be negative.
std::optional<std::uint64_t> tensor_bytes(std::span<const std::int64_t> shape, std::size_t element_bytes);

}  // namespace headstart
