// A restricted unpickler: a small virtual machine for the opcodes that torch.save writes (pickle protocols 1 to 5). It builds containers,
// numbers, texts and records of tensors; it never calls or imports anything. Globals outside the allow-list end it.
//
// Source: Python's pickletools (the opcodes), torch/serialization.py and torch/_utils.py (the globals and what they are called with).
// Thread-safety: plain data. Ownership: texts point into the bytes that were parsed. Errors: Error(kModel) with the position in the file.
// Limits: everything that grows is bounded by kMaxOperations; nothing recurses over the data's nesting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weights/dtypes.h"

namespace headstart::pickle {

using Ref = std::uint32_t;  // index into Document::values

// A global of the allow-list. What can be called is modelled, never run.
enum class Global {
  kOrderedDict,
  kRebuildTensor,
  kRebuildTensorV2,
  kRebuildTensorV3,
  kRebuildParameter,
  kRebuildParameterWithState,
  kRebuildFromType,
  kTensorClass,  // torch.Tensor, torch.nn.Parameter: named by _rebuild_from_type_v2
  kSize,         // torch.Size: becomes its tuple
  kInertCall,    // torch.device, set, _codecs.encode, …: the result is never looked at
  kInertClass,   // argparse.Namespace, which training scripts store beside the weights: never looked at
  kStorage,      // torch.FloatStorage and its like; `row` says which; without a row torch's UntypedStorage
  kDtype,        // torch.float32 and its like
};

struct None {};
struct Opaque {};  // a value of a permitted kind that no reader looks at: floats, bytes, big integers, sets, devices, …
struct GlobalValue {
  Global what;
  const DtypeRow* row = nullptr;
};
struct Sequence {  // list or tuple
  std::vector<Ref> items;
};
struct Dict {  // insertion order
  std::vector<std::pair<Ref, Ref>> items;
};
struct StorageRef {
  std::uint32_t index;  // into Document::storages
};
struct TensorRef {
  std::uint32_t index;  // into Document::tensors
};
using Value = std::variant<None, Opaque, bool, std::int64_t, std::string_view, GlobalValue, Sequence, Dict, StorageRef, TensorRef>;

// What a persistent id says: sizes are claims of the file, checked against its bytes when a tensor is built.
struct StorageRecord {
  std::string_view key;
  const DtypeRow* row = nullptr;  // nullptr: untyped, counted in bytes
  std::uint64_t elements = 0;     // of the whole storage
  std::uint64_t view_offset = 0;  // elements; old files hand out parts of a storage
  std::uint64_t view_elements = 0;
  std::size_t element_bytes() const { return row == nullptr ? 1 : row->element_bytes; }
};

// Sizes and strides in elements, not yet checked against the storage.
struct TensorRecord {
  std::uint32_t storage = 0;
  const DtypeRow* row = nullptr;
  std::uint64_t offset = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

struct Document {
  std::vector<Value> values;
  std::vector<StorageRecord> storages;
  std::vector<TensorRecord> tensors;
  std::size_t copied = 0;  // items that calls copied out of containers: a container may be named by many calls
  Ref root = 0;
  std::size_t end = 0;  // position after the STOP opcode

  template <typename T>
  const T* get(Ref ref) const {
    return std::get_if<T>(&values[ref]);
  }
};

inline constexpr std::size_t kMaxOperations = 4'000'000;  // a state dict needs about 40 a tensor
inline constexpr std::size_t kMaxDimensions = 32;

// Runs the pickle that starts at `position` of the file's bytes and may reach to their end.
Document parse(std::span<const std::byte> file, std::size_t position = 0);

// Whether the allow-list holds the global; empty when not.
std::optional<GlobalValue> find_global(std::string_view module, std::string_view name);

// The parts of the machine that know PyTorch (pickle_torch.cpp). `position` is for messages.
Value call(Document& document, const GlobalValue& function, Ref arguments, std::size_t position);
Value persistent(Document& document, Ref id, std::size_t position);

[[noreturn]] void fail(std::size_t position, std::string_view message);

}  // namespace headstart::pickle
