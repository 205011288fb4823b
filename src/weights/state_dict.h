// Weights as plain bytes: named tensors without an engine. Readers fill it, the model layer turns it into networks.
//
// Thread-safety: plain data. Ownership: a HostTensor shares its bytes; they are contiguous, row-major, little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headstart {

enum class Dtype { kFloat64, kFloat32, kFloat16, kBFloat16, kInt64, kInt32, kInt16, kInt8, kUInt8, kBool };

std::size_t byte_size(Dtype dtype);
std::string_view to_string(Dtype dtype);  // safetensors' names: "F32", "BF16", "I64", …

struct HostTensor {
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::shared_ptr<const std::vector<std::byte>> bytes;  // product(shape) * byte_size(dtype)

  std::int64_t elements() const;
  std::span<const std::byte> data() const { return {bytes->data(), bytes->size()}; }
};

HostTensor make_tensor(Dtype dtype, std::vector<std::int64_t> shape, std::span<const std::byte> data);
HostTensor make_tensor(std::vector<std::int64_t> shape, std::span<const float> values);

// "[64, 3, 7, 7]"
std::string shape_to_string(std::span<const std::int64_t> shape);

// Names in file order.
struct StateDict {
  std::vector<std::pair<std::string, HostTensor>> tensors;
  std::map<std::string, std::string> metadata;  // safetensors' __metadata__; else empty

  const HostTensor* find(std::string_view name) const;
};

// Reads a weights file of any known format, told apart by content: PyTorch zip, PyTorch legacy, safetensors, Gluon .params. Strips a common
// "module." or "backbone." prefix; unwraps {"state_dict": …} and {"model": …}. Throws Error(kModel) naming the file, what is damaged and
// where.
StateDict read_weights(const std::filesystem::path& path);

// The formats themselves, over bytes; for tests and fuzz targets. The message does not name the file. Gluon's: gluon_params.h.
StateDict read_safetensors(std::span<const std::byte> bytes);
StateDict read_torch_zip(std::span<const std::byte> bytes);
StateDict read_torch_legacy(std::span<const std::byte> bytes);

// Header only: metadata, names, dtypes and shapes; tensor bytes stay null. The second form takes the whole file's bytes and touches the
// header's alone.
StateDict read_safetensors_header(const std::filesystem::path& path);
StateDict read_safetensors_header(std::span<const std::byte> bytes);

// The format by content; kUnknown when none fits. Looks at the first 13 bytes.
enum class WeightsFormat { kUnknown, kTorchZip, kTorchLegacy, kSafetensors, kGluonParams };
WeightsFormat sniff_weights(std::span<const std::byte> bytes);
// What a file of no known format looks like (a web page, a Git LFS pointer, …) and what was expected: "it is …; expected …".
std::string describe_unknown(std::span<const std::byte> bytes);

// A whole safetensors file in memory.
std::string safetensors_bytes(const StateDict& state);
// Atomic, synced. Tensors are stored in the given order.
void write_safetensors(const std::filesystem::path& path, const StateDict& state);
// The same as torch.save(state_dict, path) writes it: a zip archive that torch.load(path, weights_only=True) opens. Metadata is left out.
// Throws Error(kModel) for more than 4 GiB.
void write_torch_zip(const std::filesystem::path& path, const StateDict& state);

// For writers. Throws Error(kInternal) naming a tensor whose bytes are not those of its dtype and shape.
void check_storable(const StateDict& state);

}  // namespace headstart
