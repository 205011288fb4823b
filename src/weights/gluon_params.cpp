#include "weights/gluon_params.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>

#include "core/file.h"
#include "headstart/error.h"
#include "weights/byte_reader.h"
#include "weights/dtypes.h"

namespace headstart {
namespace {

constexpr std::uint64_t kListMagic = 0x112;
constexpr std::uint32_t kMagicV1 = 0xF993FAC8;
constexpr std::uint32_t kMagicV2 = 0xF993FAC9;
constexpr std::uint32_t kMagicV3 = 0xF993FACA;
constexpr std::int32_t kDense = 0;      // storage type; 1 and 2 are row-sparse and CSR
constexpr std::int32_t kCpu = 1;        // device type
constexpr std::uint32_t kMaxRank = 32;  // as NumPy's limit; a larger one is a sign of damage

// The type flags of mshadow/base.h by number, in PyTorch's spelling.
constexpr std::array<std::string_view, 13> kTypeFlags = {"float32", "float64", "float16", "uint8",  "int32",  "int8",    "int64",
                                                         "bool",    "int16",   "uint16",  "uint32", "uint64", "bfloat16"};

[[noreturn]] void damaged(const std::string& reason) {
  throw Error(ErrorCategory::kModel, fmt::format("the Gluon parameters cannot be read: {}", reason));
}

// An array whose name, which stands behind all arrays, is not known yet.
struct Array {
  std::vector<std::int64_t> shape;
  std::int32_t type_flag = 0;
  std::span<const std::byte> data;
  std::string refusal;  // why it cannot become a tensor, or ""
};

std::vector<std::int64_t> read_shape(ByteReader& reader, std::uint32_t rank, bool wide, const std::string& what) {
  if (rank > kMaxRank) damaged(fmt::format("{} claims {} dimensions, expected at most {}", what, rank, kMaxRank));
  std::vector<std::int64_t> shape(rank);
  for (std::int64_t& dimension : shape) {
    dimension = wide ? reader.number<std::int64_t>(what) : static_cast<std::int64_t>(reader.number<std::uint32_t>(what));
    if (dimension < 0) damaged(fmt::format("{} has a dimension of {}", what, dimension));
  }
  return shape;
}

// The shape, or nothing for an array that was never filled: MXNet writes nothing after such a shape.
std::optional<std::vector<std::int64_t>> read_array_shape(ByteReader& reader, const std::string& what) {
  const auto magic = reader.number<std::uint32_t>(what);
  const bool with_storage = magic == kMagicV2 || magic == kMagicV3;
  if (with_storage && reader.number<std::int32_t>(what) != kDense) {
    damaged(fmt::format("{} is sparse, expected dense arrays; convert it in MXNet with tostype('default')", what));
  }
  const std::uint32_t rank = with_storage || magic == kMagicV1 ? reader.number<std::uint32_t>(what) : magic;
  const bool scalar_allowed = magic == kMagicV3;
  constexpr std::uint32_t kUnknownRank = 0xFFFFFFFF;
  if (rank == kUnknownRank || (rank == 0 && !scalar_allowed)) return std::nullopt;
  return read_shape(reader, rank, with_storage || magic == kMagicV1, what);
}

Array read_array(ByteReader& reader, std::uint64_t index) {
  const std::string what = fmt::format("array {}", index);
  auto shape = read_array_shape(reader, what);
  if (!shape) return {.shape = {}, .type_flag = 0, .data = {}, .refusal = "was never filled: it has no shape"};
  Array array{.shape = std::move(*shape), .type_flag = 0, .data = {}, .refusal = {}};
  reader.number<std::int32_t>(what);  // where it lay when it was saved: device type and number
  reader.number<std::int32_t>(what);
  array.type_flag = reader.number<std::int32_t>(what);
  if (array.type_flag < 0 || static_cast<std::size_t>(array.type_flag) >= kTypeFlags.size()) {
    damaged(fmt::format("{} has the unknown type {}", what, array.type_flag));
  }
  const DtypeRow& row = *find_torch_dtype(kTypeFlags[static_cast<std::size_t>(array.type_flag)]);
  if (!row.dtype) array.refusal = fmt::format("is of {} values, which are not supported", row.torch_name);
  const auto bytes = tensor_bytes(array.shape, row.element_bytes);
  if (!bytes) damaged(fmt::format("{} of shape {} does not fit any file", what, shape_to_string(array.shape)));
  array.data = reader.take(*bytes, what);
  return array;
}

// "arg:" and "aux:" stand before the names of an exported network (HybridBlock.export, Module.save_checkpoint).
std::string_view without_kind(std::string_view name) {
  if (name.substr(0, 4) == "arg:" || name.substr(0, 4) == "aux:") name.remove_prefix(4);
  return name;
}

std::vector<std::string> read_names(ByteReader& reader, std::size_t arrays) {
  const auto count = reader.number<std::uint64_t>("the number of names");
  if (count != arrays) {
    damaged(count == 0 ? fmt::format("it holds {} arrays without names; save a dictionary, or net.save_parameters(FILE)", arrays)
                       : fmt::format("it holds {} arrays and {} names", arrays, count));
  }
  std::vector<std::string> names;
  std::unordered_set<std::string> known;
  for (std::size_t i = 0; i < arrays; ++i) {
    const auto length = reader.number<std::uint64_t>("the length of a name");
    names.emplace_back(without_kind(as_text(reader.take(length, "a name"))));
    if (!known.insert(names.back()).second) damaged(fmt::format("the name '{}' is there twice", shown(names.back())));
  }
  return names;
}

// The flag of a dtype that MXNet 1.x computes with; bfloat16, bool and int16 came later.
std::int32_t type_flag_of(const std::string& name, Dtype dtype) {
  constexpr std::size_t kFlagsOfMxnet1 = 7;
  for (std::size_t i = 0; i < kFlagsOfMxnet1; ++i) {
    if (find_torch_dtype(kTypeFlags[i])->dtype == dtype) return static_cast<std::int32_t>(i);
  }
  throw Error(ErrorCategory::kModel,
              fmt::format("cannot store tensor '{}' for Gluon: MXNet has no {} arrays", shown(name), to_string(dtype)));
}

template <typename T>
void put(AtomicFile& file, T value) {
  file.write(std::as_bytes(std::span(&value, 1)));
}

void write_array(AtomicFile& file, const std::string& name, const HostTensor& tensor) {
  const std::vector<std::int64_t> shape = tensor.shape.empty() ? std::vector<std::int64_t>{1} : tensor.shape;
  put<std::uint32_t>(file, kMagicV2);
  put<std::int32_t>(file, kDense);
  put<std::int32_t>(file, static_cast<std::int32_t>(shape.size()));
  file.write(std::as_bytes(std::span(shape)));
  put<std::int32_t>(file, kCpu);
  put<std::int32_t>(file, 0);
  put<std::int32_t>(file, type_flag_of(name, tensor.dtype));
  file.write(tensor.data());
}

}  // namespace

StateDict read_gluon_params(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  if (reader.number<std::uint64_t>("the list's magic number") != kListMagic) damaged("it does not begin with MXNet's magic number 0x112");
  reader.number<std::uint64_t>("the reserved number");
  const auto count = reader.number<std::uint64_t>("the number of arrays");
  std::vector<Array> arrays;  // grows with what is really there: the count is not trusted
  for (std::uint64_t i = 0; i < count; ++i) arrays.push_back(read_array(reader, i));
  std::vector<std::string> names = read_names(reader, arrays.size());
  if (reader.left() != 0) damaged(fmt::format("{} bytes follow the last name at byte {}", reader.left(), reader.position()));
  StateDict state;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (!arrays[i].refusal.empty()) damaged(fmt::format("'{}' {}", shown(names[i]), arrays[i].refusal));
    const DtypeRow& row = *find_torch_dtype(kTypeFlags[static_cast<std::size_t>(arrays[i].type_flag)]);
    state.tensors.emplace_back(std::move(names[i]), make_tensor(*row.dtype, std::move(arrays[i].shape), arrays[i].data));
  }
  return state;
}

void write_gluon_params(const std::filesystem::path& path, const StateDict& state) {
  check_storable(state);
  for (const auto& [name, tensor] : state.tensors) type_flag_of(name, tensor.dtype);  // refused before a file is made
  AtomicFile file(path);
  put<std::uint64_t>(file, kListMagic);
  put<std::uint64_t>(file, 0);
  put<std::uint64_t>(file, state.tensors.size());
  for (const auto& [name, tensor] : state.tensors) write_array(file, name, tensor);
  put<std::uint64_t>(file, state.tensors.size());
  for (const auto& [name, tensor] : state.tensors) {
    put<std::uint64_t>(file, name.size());
    file.write(name);
  }
  file.commit();
}

}  // namespace headstart
