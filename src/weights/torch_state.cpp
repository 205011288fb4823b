#include "weights/torch_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_set>

#include "headstart/error.h"
#include "headstart/text.h"
#include "weights/byte_reader.h"

namespace headstart {
namespace {

using pickle::Document;
using pickle::TensorRecord;

// Where training scripts put the weights beside the optimizer's state and the epoch.
constexpr std::array<std::string_view, 3> kWrappers = {"state_dict", "model", "model_state_dict"};

[[noreturn]] void refuse(std::string_view name, std::string_view reason) {
  throw Error(ErrorCategory::kModel, fmt::format("tensor '{}': {}", shown(name), reason));
}

bool has_tensors(const Document& document, const pickle::Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [&](const auto& item) { return document.get<pickle::TensorRef>(item.second) != nullptr; });
}

const pickle::Dict& find_tensors(const Document& document) {
  const auto* root = document.get<pickle::Dict>(document.root);
  if (root == nullptr) {
    throw Error(
        ErrorCategory::kModel,
        "the file holds something else than a state dict, expected a dictionary of named tensors; save model.state_dict() in Python");
  }
  if (has_tensors(document, *root)) return *root;
  std::vector<std::string> keys;
  for (const auto& [key, value] : root->items) {
    const auto* name = document.get<std::string_view>(key);
    if (name == nullptr) continue;
    keys.push_back(fmt::format("'{}'", shown(*name)));
    const auto* inner = document.get<pickle::Dict>(value);
    if (inner != nullptr && std::find(kWrappers.begin(), kWrappers.end(), *name) != kWrappers.end() && has_tensors(document, *inner))
      return *inner;
  }
  throw Error(ErrorCategory::kModel,
              fmt::format("the file holds no tensors at its top, nor under 'state_dict', 'model' or 'model_state_dict'; its keys: {}",
                          keys.empty() ? "none" : join_some(keys)));
}

// Elements from the storage's start to the end of the furthest element; throws where the view leaves its storage.
void check_reach(std::string_view name, const TensorRecord& tensor, std::uint64_t storage_elements) {
  std::uint64_t reach = 1;
  bool fits = true;
  for (std::size_t i = 0; fits && i < tensor.shape.size(); ++i) {
    std::uint64_t step = 0;
    fits = multiply(static_cast<std::uint64_t>(tensor.shape[i] - 1), static_cast<std::uint64_t>(tensor.strides[i]), step) &&
           add(reach, step, reach);
  }
  if (!fits || tensor.offset > storage_elements || reach > storage_elements - tensor.offset) {
    refuse(name, fmt::format("shape {} with strides {} from element {} leaves its storage of {} elements", shape_to_string(tensor.shape),
                             shape_to_string(tensor.strides), tensor.offset, storage_elements));
  }
}

bool is_contiguous(const TensorRecord& tensor) {
  std::int64_t expected = 1;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Row-major walk; `storage` starts at the tensor's first element. Reach is checked, so no index leaves the storage.
void copy_strided(const TensorRecord& tensor, std::size_t element_bytes, std::span<const std::byte> storage, std::vector<std::byte>& out) {
  const std::size_t dimensions = tensor.shape.size();
  std::vector<std::int64_t> index(dimensions, 0);
  std::size_t from = 0;  // elements
  for (std::size_t to = 0; to < out.size(); to += element_bytes) {
    std::memcpy(out.data() + to, storage.data() + from * element_bytes, element_bytes);
    for (std::size_t d = dimensions; d-- > 0;) {
      from += static_cast<std::size_t>(tensor.strides[d]);
      if (++index[d] < tensor.shape[d]) break;
      from -= static_cast<std::size_t>(tensor.strides[d]) * static_cast<std::size_t>(tensor.shape[d]);
      index[d] = 0;
    }
  }
}

class Builder {
 public:
  Builder(const Document& document, std::size_t file_bytes, const StorageBytes& storage_bytes)
      : document_(document), storage_bytes_(storage_bytes), budget_(std::max<std::uint64_t>(64ULL << 20, 16 * std::uint64_t{file_bytes})) {}

  HostTensor build(std::string_view name, const TensorRecord& tensor) {
    const DtypeRow& row = *tensor.row;
    if (!row.dtype)
      refuse(name, fmt::format("it holds {} numbers, which headstart does not read; convert it with .float() in Python", row.torch_name));
    const std::optional<std::uint64_t> bytes = tensor_bytes(tensor.shape, row.element_bytes);
    if (!bytes || *bytes > budget_) {
      refuse(name, fmt::format("shape {} would take more memory than a file of this size can mean", shape_to_string(tensor.shape)));
    }
    budget_ -= *bytes;
    return {*row.dtype, tensor.shape,
            std::make_shared<const std::vector<std::byte>>(contiguous(name, tensor, static_cast<std::size_t>(*bytes)))};
  }

 private:
  std::vector<std::byte> contiguous(std::string_view name, const TensorRecord& tensor, std::size_t bytes) const {
    if (bytes == 0) return {};
    const pickle::StorageRecord& record = document_.storages[tensor.storage];
    const std::size_t element_bytes = tensor.row->element_bytes;
    // The view's bytes lie inside the storage: persistent() checked its elements, storage_bytes_ the storage's size.
    const auto storage = storage_bytes_(record).subspan(static_cast<std::size_t>(record.view_offset) * record.element_bytes(),
                                                        static_cast<std::size_t>(record.view_elements) * record.element_bytes());
    check_reach(name, tensor, storage.size() / element_bytes);
    const auto from = storage.subspan(static_cast<std::size_t>(tensor.offset) * element_bytes);
    if (is_contiguous(tensor)) return {from.begin(), from.begin() + static_cast<std::ptrdiff_t>(bytes)};
    std::vector<std::byte> out(bytes);
    copy_strided(tensor, element_bytes, from, out);
    return out;
  }

  const Document& document_;
  const StorageBytes& storage_bytes_;
  std::uint64_t budget_;
};

}  // namespace

StateDict build_state_dict(const Document& document, std::size_t file_bytes, const StorageBytes& storage_bytes) {
  StateDict state;
  Builder builder(document, file_bytes, storage_bytes);
  std::unordered_set<std::string_view> names;
  for (const auto& [key, value] : find_tensors(document).items) {
    const auto* tensor = document.get<pickle::TensorRef>(value);
    if (tensor == nullptr) continue;
    const auto* name = document.get<std::string_view>(key);
    if (name == nullptr) throw Error(ErrorCategory::kModel, "a tensor of the dictionary has a key that is no text, expected a state dict");
    if (!names.insert(*name).second) refuse(*name, "it is there twice: the file is damaged");
    state.tensors.emplace_back(std::string(*name), builder.build(*name, document.tensors[tensor->index]));
  }
  return state;
}

}  // namespace headstart
