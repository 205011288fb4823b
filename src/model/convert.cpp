#include "model/convert.h"

#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <cstring>

#include "headstart/error.h"
#include "model/network.h"

namespace headstart {
namespace {

struct DtypePair {
  Dtype host;
  at::ScalarType engine;
};
constexpr DtypePair kDtypes[] = {{Dtype::kFloat64, at::kDouble},    {Dtype::kFloat32, at::kFloat}, {Dtype::kFloat16, at::kHalf},
                                 {Dtype::kBFloat16, at::kBFloat16}, {Dtype::kInt64, at::kLong},    {Dtype::kInt32, at::kInt},
                                 {Dtype::kInt16, at::kShort},       {Dtype::kInt8, at::kChar},     {Dtype::kUInt8, at::kByte},
                                 {Dtype::kBool, at::kBool}};

at::ScalarType engine_dtype(Dtype dtype) {
  for (const DtypePair& pair : kDtypes) {
    if (pair.host == dtype) return pair.engine;
  }
  throw Error(ErrorCategory::kInternal, fmt::format("tensor conversion: no engine dtype for {}", static_cast<int>(dtype)));
}

Dtype host_dtype(at::ScalarType dtype) {
  for (const DtypePair& pair : kDtypes) {
    if (pair.engine == dtype) return pair.host;
  }
  throw Error(ErrorCategory::kInternal, fmt::format("tensor conversion: no host dtype for {}", c10::toString(dtype)));
}

// Whether the bytes are exactly those of dtype and shape; false on overflow.
bool size_matches(const HostTensor& tensor) {
  std::size_t bytes = byte_size(tensor.dtype);
  for (const std::int64_t side : tensor.shape) {
    if (side < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(side), &bytes)) return false;
  }
  return tensor.bytes != nullptr && bytes == tensor.bytes->size();
}

}  // namespace

bool is_floating_point(Dtype dtype) { return at::isFloatingType(engine_dtype(dtype)); }

at::Tensor engine_view(const HostTensor& tensor) {
  if (!size_matches(tensor)) {
    throw Error(ErrorCategory::kModel,
                fmt::format("tensor conversion: a tensor of shape {} and type {} holds {} bytes", shape_to_string(tensor.shape),
                            to_string(tensor.dtype), tensor.bytes == nullptr ? 0 : tensor.bytes->size()));
  }
  // from_blob takes no const pointer; nothing writes through the view.
  void* data = const_cast<std::byte*>(tensor.bytes->data());
  return at::from_blob(data, tensor.shape, at::TensorOptions(engine_dtype(tensor.dtype)));
}

at::Tensor to_engine(const HostTensor& tensor) { return engine_view(tensor).clone(); }

HostTensor to_host(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
  const auto* data = static_cast<const std::byte*>(plain.const_data_ptr());
  return make_tensor(host_dtype(plain.scalar_type()), plain.sizes().vec(), {data, plain.nbytes()});
}

}  // namespace headstart
