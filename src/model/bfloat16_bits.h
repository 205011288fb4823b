// bfloat16 tensors as the kernels of this folder take them: the bits of their values. nullptr for an undefined tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace headstart {

// An undefined tensor as autograd's functions take one: nothing.
inline std::optional<at::Tensor> optional_of(const at::Tensor& x) { return x.defined() ? std::optional(x) : std::nullopt; }

inline const std::uint16_t* bits(const at::Tensor& x) {
  return x.defined() ? reinterpret_cast<const std::uint16_t*>(x.const_data_ptr<at::BFloat16>()) : nullptr;
}

inline std::uint16_t* writable_bits(const at::Tensor& x) {
  return x.defined() ? reinterpret_cast<std::uint16_t*>(x.mutable_data_ptr<at::BFloat16>()) : nullptr;
}

// Whether x is what they work on: bfloat16 on the CPU, channels_last, not empty.
inline bool has_bfloat16_rows(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && x.is_contiguous(at::MemoryFormat::ChannelsLast) && x.numel() > 0;
}

}  // namespace headstart
