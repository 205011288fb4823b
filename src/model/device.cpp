#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>

#include <charconv>
#include <string>

#include "headstart/error.h"
#include "image/pipeline.h"
#include "model/bfloat16_bits.h"
#include "model/network.h"
#include "model/parallel.h"

namespace headstart {
namespace {

int cuda_devices() { return at::globalContext().hasCUDA() ? static_cast<int>(at::getNumGPUs()) : 0; }

std::string what_is_there(int cuda) {
  if (cuda == 0) return "here is only the CPU (LibTorch sees no CUDA device)";
  return cuda == 1 ? "here are cpu and cuda:0" : fmt::format("here are cpu and cuda:0 to cuda:{}", cuda - 1);
}

bool cpu_computes_bfloat16() {
#if defined(__x86_64__)
  // Every processor with AMX-BF16 has AVX-512 BF16 as well.
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

// The device is the current one meanwhile. LibTorch's cuDNN hook asks for compute capability 8.0.
bool cuda_computes_bfloat16(const at::Device& device) {
  const c10::DeviceGuard guard(device);
  return at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();
}

// count * side * side * 3; 0 when that is no size.
std::size_t input_bytes(std::size_t count, std::size_t side) {
  std::size_t bytes = 3;
  for (const std::size_t factor : {count, side, side}) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) return 0;
  }
  return bytes;
}

// u8 [N, H, W, 3] → float32 or bfloat16 in the memory of a channels_last [N, 3, H, W] tensor.
at::Tensor normalise_on_cpu(std::span<const std::uint8_t> pixels, int count, const Preprocessing& preprocessing, at::ScalarType dtype) {
  const int side = preprocessing.crop_size;
  const at::Tensor out = at::empty({count, 3, side, side}, at::TensorOptions(dtype).memory_format(at::MemoryFormat::ChannelsLast));
  const std::size_t photo = pixels.size() / static_cast<std::size_t>(count);
  in_parallel(static_cast<std::size_t>(count), [&](std::size_t i) {
    const auto rgb = pixels.subspan(i * photo, photo);
    if (dtype == at::kBFloat16) {
      normalize_to_bfloat16(rgb, preprocessing, writable_bits(out) + i * photo);
    } else {
      normalize_to_float32(rgb, preprocessing, out.mutable_data_ptr<float>() + i * photo);
    }
  });
  return out;
}

// Copies a quarter of the bytes that float32 would be, then normalises there.
at::Tensor normalise_on_device(std::span<const std::uint8_t> pixels, int count, const Preprocessing& preprocessing, at::ScalarType dtype,
                               const at::Device& device) {
  const int side = preprocessing.crop_size;
  // from_blob takes no const pointer; the copy to the device only reads.
  auto* data = const_cast<std::uint8_t*>(pixels.data());
  const at::Tensor rgb = at::from_blob(data, {count, side, side, 3}, at::TensorOptions(at::kByte)).to(device);
  const at::Tensor mean = at::tensor(at::ArrayRef<float>(preprocessing.mean)).to(device);
  const at::Tensor deviation = at::tensor(at::ArrayRef<float>(preprocessing.std)).to(device);
  return rgb.to(at::kFloat).div_(255).sub_(mean).div_(deviation).to(dtype).permute({0, 3, 1, 2});
}

}  // namespace

at::Device resolve_device(const std::string& name) {
  const int cuda = cuda_devices();
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return cuda > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  int index = 0;
  bool known = name == "cuda";
  if (name.starts_with("cuda:")) {
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + 5, end, index);
    known = error == std::errc() && rest == end && index >= 0;
  }
  if (!known) {
    throw Error(ErrorCategory::kDevice,
                fmt::format("unknown device '{}': expected auto, cpu, cuda or cuda:N; {}", name, what_is_there(cuda)));
  }
  if (index >= cuda) throw Error(ErrorCategory::kDevice, fmt::format("device '{}' is not there: {}", name, what_is_there(cuda)));
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

Precision resolve_precision(Precision precision, const at::Device& device) {
  if (precision != Precision::kAuto) return precision;
  const bool fast = device.is_cuda() ? cuda_computes_bfloat16(device) : device.is_cpu() && cpu_computes_bfloat16();
  return fast ? Precision::kBFloat16 : Precision::kFloat32;
}

at::ScalarType dtype_of(Precision precision) { return precision == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat; }

at::Tensor to_input(std::span<const std::uint8_t> pixels, int count, const Preprocessing& preprocessing, Precision precision,
                    const at::Device& device) {
  const int side = preprocessing.crop_size;
  if (count < 1 || side < 1 || pixels.size() != input_bytes(static_cast<std::size_t>(count), static_cast<std::size_t>(side))) {
    throw Error(ErrorCategory::kInternal, fmt::format("network input: {} photos of {} x {} RGB pixels were announced, {} bytes came", count,
                                                      side, side, pixels.size()));
  }
  const at::ScalarType dtype = dtype_of(precision);
  if (device.is_cpu()) return normalise_on_cpu(pixels, count, preprocessing, dtype);
  return normalise_on_device(pixels, count, preprocessing, dtype, device);
}

}  // namespace headstart
