#include "weights/state_dict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "headstart/error.h"
#include "weights/byte_reader.h"
#include "weights/dtypes.h"

namespace headstart {

static_assert(std::endian::native == std::endian::little, "weights files are little-endian and are copied as they are");

namespace {

constexpr std::array<DtypeRow, 27> kDtypes = {{
    {"float64", "double", "DoubleStorage", "F64", 8, Dtype::kFloat64},
    {"float32", "float", "FloatStorage", "F32", 4, Dtype::kFloat32},
    {"float16", "half", "HalfStorage", "F16", 2, Dtype::kFloat16},
    {"bfloat16", "", "BFloat16Storage", "BF16", 2, Dtype::kBFloat16},
    {"int64", "long", "LongStorage", "I64", 8, Dtype::kInt64},
    {"int32", "int", "IntStorage", "I32", 4, Dtype::kInt32},
    {"int16", "short", "ShortStorage", "I16", 2, Dtype::kInt16},
    {"int8", "", "CharStorage", "I8", 1, Dtype::kInt8},
    {"uint8", "", "ByteStorage", "U8", 1, Dtype::kUInt8},
    {"bool", "", "BoolStorage", "BOOL", 1, Dtype::kBool},
    {"complex32", "chalf", "", "", 4, {}},
    {"complex64", "cfloat", "ComplexFloatStorage", "C64", 8, {}},
    {"complex128", "cdouble", "ComplexDoubleStorage", "", 16, {}},
    {"uint16", "", "", "U16", 2, {}},
    {"uint32", "", "", "U32", 4, {}},
    {"uint64", "", "", "U64", 8, {}},
    {"float8_e5m2", "", "", "F8_E5M2", 1, {}},
    {"float8_e4m3fn", "", "", "F8_E4M3", 1, {}},
    {"float8_e5m2fnuz", "", "", "F8_E5M2FNUZ", 1, {}},
    {"float8_e4m3fnuz", "", "", "F8_E4M3FNUZ", 1, {}},
    {"float8_e8m0fnu", "", "", "F8_E8M0", 1, {}},
    {"qint8", "", "QInt8Storage", "", 1, {}},
    {"quint8", "", "QUInt8Storage", "", 1, {}},
    {"qint32", "", "QInt32Storage", "", 4, {}},
    {"quint4x2", "", "QUInt4x2Storage", "", 1, {}},
    {"quint2x4", "", "QUInt2x4Storage", "", 1, {}},
    {"float4_e2m1fn_x2", "", "", "F4", 1, {}},
}};

const DtypeRow& row_of(Dtype dtype) {
  for (const DtypeRow& row : kDtypes) {
    if (row.dtype == dtype) return row;
  }
  throw Error(ErrorCategory::kInternal, fmt::format("no row for dtype {}", static_cast<int>(dtype)));
}

const DtypeRow* find_row(std::string_view name, std::string_view DtypeRow::*member) {
  if (name.empty()) return nullptr;
  const auto row = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeRow& candidate) { return candidate.*member == name; });
  return row == kDtypes.end() ? nullptr : &*row;
}

}  // namespace

std::span<const DtypeRow> dtype_rows() { return kDtypes; }

const DtypeRow* find_torch_dtype(std::string_view name) {
  const DtypeRow* row = find_row(name, &DtypeRow::torch_name);
  return row != nullptr ? row : find_row(name, &DtypeRow::torch_alias);
}
const DtypeRow* find_torch_storage(std::string_view name) { return find_row(name, &DtypeRow::storage_name); }
const DtypeRow* find_safetensors_dtype(std::string_view name) { return find_row(name, &DtypeRow::safetensors_name); }

std::optional<std::uint64_t> tensor_bytes(std::span<const std::int64_t> shape, std::size_t element_bytes) {
  // A zero dimension makes the product zero whatever the others are: it must not hide behind an overflow.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t bytes = element_bytes;
  for (const std::int64_t dimension : shape) {
    if (!multiply(bytes, static_cast<std::uint64_t>(dimension), bytes)) return std::nullopt;
  }
  return bytes >> 63 == 0 ? std::optional(bytes) : std::nullopt;
}

std::size_t byte_size(Dtype dtype) { return row_of(dtype).element_bytes; }

std::string_view to_string(Dtype dtype) { return row_of(dtype).safetensors_name; }

std::int64_t HostTensor::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dimension : shape) product *= dimension;
  return product;
}

HostTensor make_tensor(Dtype dtype, std::vector<std::int64_t> shape, std::span<const std::byte> data) {
  const bool negative = std::any_of(shape.begin(), shape.end(), [](std::int64_t dimension) { return dimension < 0; });
  const auto expected = negative ? std::nullopt : tensor_bytes(shape, byte_size(dtype));
  if (!expected || *expected != data.size()) {
    throw Error(ErrorCategory::kInternal,
                fmt::format("cannot make a {} tensor of shape {} from {} bytes", to_string(dtype), shape_to_string(shape), data.size()));
  }
  return {dtype, std::move(shape), std::make_shared<const std::vector<std::byte>>(data.begin(), data.end())};
}

HostTensor make_tensor(std::vector<std::int64_t> shape, std::span<const float> values) {
  return make_tensor(Dtype::kFloat32, std::move(shape), std::as_bytes(values));
}

std::string shape_to_string(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

const HostTensor* StateDict::find(std::string_view name) const {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

void check_storable(const StateDict& state) {
  for (const auto& [name, tensor] : state.tensors) {
    const auto expected = tensor_bytes(tensor.shape, byte_size(tensor.dtype));
    if (tensor.bytes == nullptr || !expected || *expected != tensor.bytes->size()) {
      throw Error(ErrorCategory::kInternal,
                  fmt::format("cannot store tensor '{}': its bytes do not fit its shape {}", name, shape_to_string(tensor.shape)));
    }
  }
}

}  // namespace headstart
