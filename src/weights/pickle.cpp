#include "weights/pickle.h"

#include <fmt/format.h>

#include <charconv>

#include "headstart/error.h"
#include "weights/byte_reader.h"

namespace headstart::pickle {

void fail(std::size_t position, std::string_view message) {
  throw Error(ErrorCategory::kModel, fmt::format("{} (byte {})", message, position));
}

namespace {

// Frozen by Python (pickletools.opcodes). Only what torch.save writes under protocols 1 to 5.
enum Opcode : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kBinFloat = 'G',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kEmptyDict = '}',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8A,
  kLong4 = 0x8B,
  kShortBinUnicode = 0x8C,
  kBinUnicode8 = 0x8D,
  kBinBytes8 = 0x8E,
  kEmptySet = 0x8F,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

constexpr Ref kUnset = ~Ref{0};

class Machine {
 public:
  Machine(std::span<const std::byte> file, std::size_t position) : reader_(file, position) {}

  Document run() {
    for (std::size_t operations = 0; operations < kMaxOperations; ++operations) {
      at_ = reader_.position();
      const auto opcode = reader_.number<std::uint8_t>("a pickle");
      if (opcode == kStop) {
        document_.root = pop();
        document_.end = reader_.position();
        return std::move(document_);
      }
      if (!scalar(opcode) && !text(opcode) && !memory(opcode) && !container(opcode) && !object(opcode)) {
        fail(at_, fmt::format("the pickle holds opcode 0x{:02x}, which torch.save does not write: damaged, or not a PyTorch file", opcode));
      }
    }
    fail(at_, fmt::format("the pickle goes on after {} operations, more than any weights file needs", kMaxOperations));
  }

 private:
  bool scalar(std::uint8_t opcode) {
    switch (opcode) {
      case kNone:
        return push(None{});
      case kNewTrue:
        return push(true);
      case kNewFalse:
        return push(false);
      case kBinInt:
        return push(std::int64_t{reader_.number<std::int32_t>("a number")});
      case kBinInt1:
        return push(std::int64_t{reader_.number<std::uint8_t>("a number")});
      case kBinInt2:
        return push(std::int64_t{reader_.number<std::uint16_t>("a number")});
      case kBinFloat:
        reader_.take(8, "a number");
        return push(Opaque{});
      case kInt:
      case kLong:
        return push(decimal(reader_.line("a number")));
      case kLong1:
        return push(big_integer(reader_.number<std::uint8_t>("a number")));
      case kLong4: {
        const auto length = reader_.number<std::int32_t>("a number");
        if (length < 0) fail(at_, fmt::format("a number claims {} bytes", length));
        return push(big_integer(static_cast<std::uint32_t>(length)));
      }
      default:
        return false;
    }
  }

  bool text(std::uint8_t opcode) {
    switch (opcode) {
      case kBinUnicode:
      case kBinString:
        return push(as_text(reader_.take(reader_.number<std::uint32_t>("a text"), "a text")));
      case kShortBinUnicode:
      case kShortBinString:
        return push(as_text(reader_.take(reader_.number<std::uint8_t>("a text"), "a text")));
      case kBinUnicode8:
        return push(as_text(reader_.take(reader_.number<std::uint64_t>("a text"), "a text")));
      case kShortBinBytes:
        reader_.take(reader_.number<std::uint8_t>("bytes"), "bytes");
        return push(Opaque{});
      case kBinBytes:
        reader_.take(reader_.number<std::uint32_t>("bytes"), "bytes");
        return push(Opaque{});
      case kBinBytes8:
      case kByteArray8:
        reader_.take(reader_.number<std::uint64_t>("bytes"), "bytes");
        return push(Opaque{});
      default:
        return false;
    }
  }

  // Stack, marks and memo.
  bool memory(std::uint8_t opcode) {
    switch (opcode) {
      case kProto: {
        const auto protocol = reader_.number<std::uint8_t>("a pickle");
        if (protocol > 5) fail(at_, fmt::format("the pickle has protocol {}, expected at most 5", protocol));
        return true;
      }
      case kFrame:  // only a hint for buffered reading
        reader_.number<std::uint64_t>("a pickle");
        return true;
      case kMark:
        marks_.push_back(stack_.size());
        return true;
      case kPop:
        if (!marks_.empty() && marks_.back() == stack_.size()) {
          marks_.pop_back();
        } else {
          pop();
        }
        return true;
      case kPopMark:
        pop_to_mark();
        return true;
      case kDup:
        return push_ref(top());
      case kBinPut:
        return put(reader_.number<std::uint8_t>("a pickle"));
      case kLongBinPut:
        return put(reader_.number<std::uint32_t>("a pickle"));
      case kMemoize:
        return put(memo_.size());
      case kBinGet:
        return get(reader_.number<std::uint8_t>("a pickle"));
      case kLongBinGet:
        return get(reader_.number<std::uint32_t>("a pickle"));
      default:
        return false;
    }
  }

  bool container(std::uint8_t opcode) {
    switch (opcode) {
      case kEmptyDict:
        return push(Dict{});
      case kEmptyList:
      case kEmptyTuple:
        return push(Sequence{});
      case kEmptySet:
        return push(Opaque{});
      case kTuple:
        return push(Sequence{pop_to_mark()});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return push(Sequence{pop_last(static_cast<std::size_t>(opcode - kTuple1) + 1)});
      case kFrozenSet:
        pop_to_mark();
        return push(Opaque{});
      case kAddItems:
        pop_to_mark();
        top();
        return true;
      case kAppend:
        return append(pop_last(1));
      case kAppends:
        return append(pop_to_mark());
      case kSetItem:
        return set_items(pop_last(2));
      case kSetItems:
        return set_items(pop_to_mark());
      default:
        return false;
    }
  }

  bool object(std::uint8_t opcode) {
    switch (opcode) {
      case kGlobal: {
        const std::string_view module = reader_.line("a global");
        return push(global(module, reader_.line("a global")));
      }
      case kStackGlobal: {
        const auto names = pop_last(2);
        const auto* module = document_.get<std::string_view>(names[0]);
        const auto* name = document_.get<std::string_view>(names[1]);
        if (module == nullptr || name == nullptr) fail(at_, "a global is not named by two texts: the pickle is damaged");
        return push(global(*module, *name));
      }
      case kReduce: {
        const auto operands = pop_last(2);
        return push(call(document_, function(operands[0]), operands[1], at_));
      }
      case kNewObj: {
        const auto operands = pop_last(2);
        const GlobalValue type = function(operands[0]);
        if (type.what != Global::kInertClass && type.what != Global::kOrderedDict)
          fail(at_, "the pickle makes an object of something that is no class");
        return push(call(document_, type, operands[1], at_));
      }
      case kBuild: {  // attributes of a dict, a tensor or an inert object: nothing that a reader looks at
        pop();
        const Ref target = top();
        if (document_.get<Dict>(target) == nullptr && document_.get<TensorRef>(target) == nullptr &&
            document_.get<Opaque>(target) == nullptr) {
          fail(at_, "the pickle sets the state of something that has none");
        }
        return true;
      }
      case kBinPersId: {
        const Ref id = pop();
        return push(persistent(document_, id, at_));
      }
      default:
        return false;
    }
  }

  // "12", "12L"; protocol 1 writes True and False as "01" and "00".
  Value decimal(std::string_view text) {
    if (text == "01") return true;
    if (text == "00") return false;
    if (!text.empty() && text.back() == 'L') text.remove_suffix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) return Opaque{};
    if (error != std::errc() || end != text.data() + text.size()) fail(at_, "a number is not written in digits: the pickle is damaged");
    return value;
  }

  // Two's complement, little-endian; longer ones than a state dict can use are kept as opaque.
  Value big_integer(std::uint64_t length) {
    const auto bytes = reader_.take(length, "a number");
    if (bytes.size() > 8) return Opaque{};
    if (bytes.empty()) return std::int64_t{0};
    const bool negative = (std::to_integer<unsigned>(bytes.back()) & 0x80U) != 0;
    std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return static_cast<std::int64_t>(value);
  }

  GlobalValue global(std::string_view module, std::string_view name) {
    if (const auto known = find_global(module, name)) return *known;
    fail(at_, fmt::format(
                  "the file asks to load '{}.{}', which headstart never does: only tensors and plain containers are read, because anything "
                  "else may run code of the file's author. If you trust the file, open it in Python and save the weights alone: "
                  "torch.save(model.state_dict(), \"weights.pth\")",
                  shown(module), shown(name)));
  }

  GlobalValue function(Ref ref) const {
    const auto* global = document_.get<GlobalValue>(ref);
    if (global == nullptr) fail(at_, "the pickle calls something that is no function");
    return *global;
  }

  bool append(std::vector<Ref> items) {
    auto* list = std::get_if<Sequence>(&document_.values[top()]);
    if (list == nullptr) fail(at_, "the pickle appends to something that is no list");
    list->items.insert(list->items.end(), items.begin(), items.end());
    return true;
  }

  bool set_items(const std::vector<Ref>& items) {
    const Ref target = top();
    if (items.size() % 2 != 0) fail(at_, "the pickle sets a key without a value");
    if (document_.get<Opaque>(target) != nullptr) return true;
    auto* dict = std::get_if<Dict>(&document_.values[target]);
    if (dict == nullptr) fail(at_, "the pickle sets keys of something that is no dictionary");
    for (std::size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
    return true;
  }

  bool push(Value value) {
    document_.values.push_back(std::move(value));
    return push_ref(static_cast<Ref>(document_.values.size() - 1));
  }

  bool push_ref(Ref ref) {
    stack_.push_back(ref);
    return true;
  }

  // The lowest stack position that may be popped: a mark fences off what lies below it.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Ref top() const {
    if (stack_.size() <= floor()) fail(at_, "the pickle takes a value from an empty stack: damaged");
    return stack_.back();
  }

  Ref pop() {
    const Ref ref = top();
    stack_.pop_back();
    return ref;
  }

  std::vector<Ref> pop_last(std::size_t count) {
    if (stack_.size() - floor() < count) fail(at_, "the pickle takes a value from an empty stack: damaged");
    std::vector<Ref> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) fail(at_, "the pickle ends a group that was not begun: damaged");
    std::vector<Ref> items = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  bool put(std::size_t slot) {
    const Ref ref = top();
    if (slot >= kMaxOperations) fail(at_, fmt::format("the pickle remembers value {}, expected less than {}", slot, kMaxOperations));
    if (slot >= memo_.size()) memo_.resize(slot + 1, kUnset);
    memo_[slot] = ref;
    return true;
  }

  bool get(std::size_t slot) {
    if (slot >= memo_.size() || memo_[slot] == kUnset)
      fail(at_, fmt::format("the pickle recalls value {}, which it has not remembered", slot));
    return push_ref(memo_[slot]);
  }

  ByteReader reader_;
  std::size_t at_ = 0;  // position of the current opcode
  Document document_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;
  std::vector<Ref> memo_;
};

}  // namespace

Document parse(std::span<const std::byte> file, std::size_t position) { return Machine(file, position).run(); }

}  // namespace headstart::pickle
