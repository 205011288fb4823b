// What the restricted unpickler knows of PyTorch: the allow-list of globals, and what calls and persistent ids stand for.
#include <fmt/format.h>

#include <array>

#include "headstart/error.h"
#include "weights/byte_reader.h"
#include "weights/pickle.h"

namespace headstart::pickle {
namespace {

struct GlobalRow {
  std::string_view module;
  std::string_view name;
  Global what;
};

// Functions and classes; storages and dtypes come from dtype_rows().
constexpr std::array<GlobalRow, 19> kGlobals = {{
    {"collections", "OrderedDict", Global::kOrderedDict},
    {"torch._utils", "_rebuild_tensor", Global::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensorV2},
    {"torch._utils", "_rebuild_tensor_v3", Global::kRebuildTensorV3},
    {"torch._utils", "_rebuild_parameter", Global::kRebuildParameter},
    {"torch._utils", "_rebuild_parameter_with_state", Global::kRebuildParameterWithState},
    {"torch._tensor", "_rebuild_from_type_v2", Global::kRebuildFromType},
    {"torch", "Tensor", Global::kTensorClass},
    {"torch._tensor", "Tensor", Global::kTensorClass},
    {"torch.nn.parameter", "Parameter", Global::kTensorClass},
    {"torch.nn.parameter", "Buffer", Global::kTensorClass},
    {"torch", "Size", Global::kSize},
    {"torch", "device", Global::kInertCall},
    {"_codecs", "encode", Global::kInertCall},
    {"torch.serialization", "_get_layout", Global::kInertCall},
    {"builtins", "set", Global::kInertCall},
    {"__builtin__", "set", Global::kInertCall},
    {"argparse", "Namespace", Global::kInertClass},
    {"collections", "Counter", Global::kInertCall},
}};

// One container may be named by many calls: without a common bound, their copies would grow with the square of the file.
void charge(Document& document, std::size_t items, std::size_t position) {
  document.copied += items;
  if (document.copied > kMaxOperations) fail(position, "the pickle copies its containers over and over: hostile or damaged");
}

// Reads the arguments of one call or persistent id; every mismatch is a damaged or hostile file.
class Arguments {
 public:
  Arguments(const Document& document, Ref tuple, std::size_t position, std::string_view what)
      : document_(document), position_(position), what_(what) {
    const auto* sequence = document.get<Sequence>(tuple);
    if (sequence == nullptr) refuse("its arguments are no tuple");
    items_ = sequence->items;
  }

  std::size_t size() const { return items_.size(); }

  Ref at(std::size_t index) const {
    if (index >= items_.size()) refuse(fmt::format("{} arguments are too few", items_.size()));
    return items_[index];
  }

  template <typename T>
  const T& get(std::size_t index, std::string_view expected) const {
    const T* value = document_.get<T>(at(index));
    if (value == nullptr) refuse(fmt::format("argument {} is no {}", index + 1, expected));
    return *value;
  }

  std::uint64_t count(std::size_t index) const { return natural(at(index)); }

  std::vector<std::int64_t> counts(std::size_t index) const {
    const auto& sequence = get<Sequence>(index, "tuple of sizes");
    if (sequence.items.size() > kMaxDimensions) {
      refuse(fmt::format("{} dimensions, expected at most {}", sequence.items.size(), kMaxDimensions));
    }
    std::vector<std::int64_t> values;
    values.reserve(sequence.items.size());
    for (const Ref item : sequence.items) values.push_back(static_cast<std::int64_t>(natural(item)));
    return values;
  }

  [[noreturn]] void refuse(std::string_view reason) const {
    fail(position_, fmt::format("the pickle's {} is malformed: {}", what_, reason));
  }

 private:
  std::uint64_t natural(Ref ref) const {
    const auto* value = document_.get<std::int64_t>(ref);
    if (value == nullptr) refuse("a size is no number, or does not fit 64 bits");
    if (*value < 0) refuse(fmt::format("a size is negative ({})", *value));
    return static_cast<std::uint64_t>(*value);
  }

  const Document& document_;
  std::span<const Ref> items_;
  std::size_t position_;
  std::string_view what_;
};

// _rebuild_tensor(storage, offset, size, stride), v2(…, requires_grad, hooks, [metadata]), v3(…, requires_grad, hooks, dtype, [metadata]).
Value rebuild_tensor(Document& document, Global function, Ref tuple, std::size_t position) {
  const Arguments arguments(document, tuple, position, "tensor");
  TensorRecord record;
  record.storage = arguments.get<StorageRef>(0, "storage").index;
  record.offset = arguments.count(1);
  record.shape = arguments.counts(2);
  record.strides = arguments.counts(3);
  charge(document, record.shape.size() + record.strides.size(), position);
  if (record.shape.size() != record.strides.size()) {
    arguments.refuse(fmt::format("{} sizes, but {} strides", record.shape.size(), record.strides.size()));
  }
  if (function == Global::kRebuildTensorV3) {
    const auto& dtype = arguments.get<GlobalValue>(6, "dtype");
    if (dtype.what != Global::kDtype) arguments.refuse("argument 7 is no dtype");
    record.row = dtype.row;
  } else {
    const DtypeRow* row = document.storages[record.storage].row;
    record.row = row != nullptr ? row : find_torch_dtype("uint8");  // as torch: untyped storages hold bytes
  }
  document.tensors.push_back(std::move(record));
  return TensorRef{static_cast<std::uint32_t>(document.tensors.size() - 1)};
}

// _rebuild_from_type_v2(function, type, arguments, state): a tensor with Python attributes, which are dropped.
Value rebuild_from_type(Document& document, Ref tuple, std::size_t position) {
  const Arguments arguments(document, tuple, position, "tensor with attributes");
  const auto function = arguments.get<GlobalValue>(0, "function");
  if (arguments.get<GlobalValue>(1, "class").what != Global::kTensorClass) arguments.refuse("argument 2 is no tensor class");
  if (function.what == Global::kRebuildFromType) arguments.refuse("it names itself as its function");
  return call(document, function, arguments.at(2), position);
}

// OrderedDict(), or Python 2's OrderedDict([[key, value], …]).
Value make_dict(Document& document, Ref tuple, std::size_t position) {
  const Arguments arguments(document, tuple, position, "OrderedDict");
  Dict dict;
  if (arguments.size() == 0) return dict;
  const auto& pairs = arguments.get<Sequence>(0, "list of pairs");
  charge(document, pairs.items.size(), position);
  for (const Ref item : pairs.items) {
    const auto* pair = document.get<Sequence>(item);
    if (pair == nullptr || pair->items.size() != 2) arguments.refuse("an item is no pair of key and value");
    dict.items.emplace_back(pair->items[0], pair->items[1]);
  }
  return dict;
}

}  // namespace

std::optional<GlobalValue> find_global(std::string_view module, std::string_view name) {
  for (const GlobalRow& row : kGlobals) {
    if (row.module == module && row.name == name) return GlobalValue{row.what};
  }
  const bool storage_module = module == "torch" || module == "torch.cuda";
  if (const DtypeRow* row = find_torch_storage(name); row != nullptr && storage_module) return GlobalValue{Global::kStorage, row};
  if (name == "UntypedStorage" && (module == "torch" || module == "torch.storage")) return GlobalValue{Global::kStorage};
  if (const DtypeRow* row = find_torch_dtype(name); row != nullptr && module == "torch") return GlobalValue{Global::kDtype, row};
  return std::nullopt;
}

Value call(Document& document, const GlobalValue& function, Ref arguments, std::size_t position) {
  switch (function.what) {
    case Global::kOrderedDict:
      return make_dict(document, arguments, position);
    case Global::kRebuildTensor:
    case Global::kRebuildTensorV2:
    case Global::kRebuildTensorV3:
      return rebuild_tensor(document, function.what, arguments, position);
    case Global::kRebuildParameter:
    case Global::kRebuildParameterWithState:
      return Arguments(document, arguments, position, "parameter").get<TensorRef>(0, "tensor");
    case Global::kRebuildFromType:
      return rebuild_from_type(document, arguments, position);
    case Global::kSize: {
      const Arguments outer(document, arguments, position, "torch.Size");
      outer.counts(0);  // checked here, so that a copy of its tuple is small
      return outer.get<Sequence>(0, "tuple of sizes");
    }
    case Global::kInertCall:
    case Global::kInertClass:
      return Opaque{};
    case Global::kTensorClass:
    case Global::kStorage:
    case Global::kDtype:
      break;
  }
  fail(position, "the pickle calls a class or a number format as a function");
}

// ('storage', class, key, device, elements[, None | (view key, offset, elements)])
Value persistent(Document& document, Ref id, std::size_t position) {
  const Arguments arguments(document, id, position, "storage");
  const auto kind = arguments.get<std::string_view>(0, "text");
  if (kind == "module") {
    arguments.refuse("the file holds a whole pickled model with its code, expected its weights alone; save model.state_dict() in Python");
  }
  if (kind != "storage") arguments.refuse(fmt::format("its kind is '{}', expected 'storage'", shown(kind)));
  const auto& type = arguments.get<GlobalValue>(1, "storage class");
  if (type.what != Global::kStorage) arguments.refuse("argument 2 is no storage class");
  StorageRecord record;
  record.row = type.row;
  record.key = arguments.get<std::string_view>(2, "text");
  record.elements = record.view_elements = arguments.count(4);
  if (arguments.size() > 5 && document.get<None>(arguments.at(5)) == nullptr) {
    const Arguments view(document, arguments.at(5), position, "storage view");
    record.view_offset = view.count(1);
    record.view_elements = view.count(2);
    if (record.view_offset > record.elements || record.view_elements > record.elements - record.view_offset) {
      view.refuse(fmt::format("it reaches past the {} elements of its storage", record.elements));
    }
  }
  document.storages.push_back(record);
  return StorageRef{static_cast<std::uint32_t>(document.storages.size() - 1)};
}

}  // namespace headstart::pickle
