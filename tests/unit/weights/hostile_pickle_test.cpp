// Pickles made by hand: what the restricted unpickler must refuse, and how much memory it may take.
#include <gtest/gtest.h>

#include "weights/pickle.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

std::string refusal(const std::string& pickle) {
  const std::string file = torch_zip_around(pickle);
  return error_of([&] { read_torch_zip(bytes_of(file)); });
}

std::string root(const std::string& value) { return "\x80\x02" + value + "."; }

TEST(HostilePickle, TheBuildersMakeReadableFiles) {
  const std::string file = torch_zip_around(state_dict_pickle({{"w", tensor()}, {"t", tensor({{3, 2}, {1, 3}})}}));
  const StateDict state = read_torch_zip(bytes_of(file));
  ASSERT_EQ(state.tensors.size(), 2U);
  EXPECT_EQ(text_of(state.tensors[0].second.data()), six_floats());
  std::string transposed;
  for (const int value : {0, 3, 1, 4, 2, 5}) transposed += little_endian(static_cast<float>(value));
  EXPECT_EQ(text_of(state.tensors[1].second.data()), transposed);
}

TEST(HostilePickle, GlobalsOutsideTheAllowListAreNamedWithTheirPosition) {
  struct Case {
    std::string module, name;
  };
  for (const auto& [module, name] : std::vector<Case>{{"os", "system"},
                                                      {"posix", "system"},
                                                      {"builtins", "eval"},
                                                      {"__builtin__", "exec"},
                                                      {"subprocess", "Popen"},
                                                      {"torch", "load"},
                                                      {"torch.storage", "_load_from_bytes"},
                                                      {"torch._utils", "_rebuild_qtensor"},
                                                      {"collections", "OrderedDict.fromkeys"},
                                                      {"numpy.core.multiarray", "_reconstruct"}}) {
    const std::string message = refusal(root(global(module, name) + tuple({text("echo hello")}) + "R"));
    expect_contains(message, "'" + module + "." + name + "'");
    // data.pkl follows the 30-byte local header and its 16-byte name; two bytes of PROTO.
    expect_contains(message, "(byte 48)");
  }
  // Protocol 4 names globals by two texts on the stack.
  expect_contains(refusal("\x80\x04\x8c\x02os\x8c\x06system\x93."), "'os.system'");
}

TEST(HostilePickle, NamedCorruptionsAreRefused) {
  const std::string ordered_dict = global("collections", "OrderedDict");
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"dtype called", {root(global("torch", "float32") + ")R"), "as a function"}},
      {"storage class called", {root(global("torch", "FloatStorage") + ")R"), "as a function"}},
      {"number called", {root(number(1) + ")R"), "no function"}},
      {"object of a function", {root(global("torch._utils", "_rebuild_tensor_v2") + ")\x81"), "no class"}},
      {"arguments are no tuple", {root(ordered_dict + number(1) + "R"), "no tuple"}},
      {"state of a number", {root(number(1) + "}b"), "state"}},
      {"empty stack", {root("0"), "empty stack"}},
      {"pop below a mark", {root("}(s"), "empty stack"}},
      {"tuple without mark", {root("t"), "not begun"}},
      {"stop on an empty stack", {"\x80\x02.", "empty stack"}},
      {"unknown opcode", {root("\xf0"), "opcode 0xf0"}},
      {"extension registry", {root("\x82\x01"), "opcode 0x82"}},
      {"protocol 6", {"\x80\x06}.", "protocol 6"}},
      {"no stop", {"\x80\x02}", "the file ends"}},
      {"text longer than the file", {root("X\xff\xff\xff\x7f"), "the file ends"}},
      {"text of 2^64-1 bytes", {root("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "the file ends"}},
      {"number of 2 GB", {root("\x8b\xff\xff\xff\x7f"), "the file ends"}},
      {"number of negative length", {root("\x8b\xff\xff\xff\xff"), "-1 bytes"}},
      {"number without digits", {root("Ix1\n"), "digits"}},
      {"number without line end", {"\x80\x02I12", "the file ends"}},
      {"memo slot never set", {root("h\x05"), "not remembered"}},
      {"memo slot 2^32-1", {root("}r\xff\xff\xff\xff"), "remembers"}},
      {"append to a number", {root(number(1) + number(2) + "a"), "no list"}},
      {"key of a number", {root(number(1) + number(2) + number(3) + "s"), "no dictionary"}},
      {"key without value", {root("}(" + text("a") + "u"), "without a value"}},
      {"global named by numbers", {root(number(1) + number(2) + "\x93"), "two texts"}},
      {"persistent id is no tuple", {root(number(1) + "Q"), "no tuple"}},
      {"persistent id too short", {root(tuple({text("storage")}) + "Q"), "too few"}},
      {"persistent module", {root(tuple({text("module"), number(1), text("file"), text("source")}) + "Q"), "state_dict()"}},
      {"persistent id of another kind", {root(tuple({text("socket"), number(1)}) + "Q"), "'socket'"}},
      {"storage class is a function",
       {root(tuple({text("storage"), ordered_dict, text("0"), text("cpu"), number(6)}) + "Q"), "no storage class"}},
      {"OrderedDict of numbers", {root(ordered_dict + tuple({"](" + number(1) + "e"}) + "R"), "no pair"}},
      {"tensor in its own type call",
       {root(global("torch._tensor", "_rebuild_from_type_v2") +
             tuple({global("torch._tensor", "_rebuild_from_type_v2"), global("torch", "Tensor"), ")", "}"}) + "R"),
        "names itself"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    expect_contains(refusal(damage.first), damage.second);
  }
}

TEST(HostilePickle, TensorsThatLeaveTheirStorageAreRefused) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const std::map<std::string, std::pair<TensorSpec, std::string>> cases = {
      {"one element too many", {{{7}, {1}}, "leaves its storage"}},
      {"offset past the end", {{{1}, {1}, 6}, "leaves its storage"}},
      {"offset 2^62", {{{1}, {1}, kHuge}, "leaves its storage"}},
      {"stride past the end", {{{2, 2}, {5, 1}}, "leaves its storage"}},
      {"stride that overflows", {{{3}, {kHuge}}, "leaves its storage"}},
      {"reach that overflows", {{{2, 2, 2}, {kHuge, kHuge, kHuge}}, "leaves its storage"}},
      {"negative size", {{{-1}, {1}}, "negative"}},
      {"negative stride", {{{2}, {-1}}, "negative"}},
      {"negative offset", {{{1}, {1}, -1}, "negative"}},
      {"sizes without strides", {{{2, 3}, {1}}, "2 sizes, but 1 strides"}},
      {"sizes whose product overflows", {{{kHuge, 4, 4}, {0, 0, 0}}, "memory"}},
      {"stride 0 expanded to a terabyte", {{{1 << 20, 1 << 20}, {0, 0}}, "memory"}},
      {"storage larger than its record", {{{2, 3}, {3, 1}, 0, storage(7)}, "expected 7 elements"}},
      {"storage of another dtype", {{{2, 3}, {3, 1}, 0, storage(6, "DoubleStorage")}, "expected 6 elements of 8"}},
      {"storage size that overflows", {{{1}, {1}, 0, storage(kHuge)}, "expected"}},
      {"storage that is not there", {{{1}, {1}, 0, storage(6, "FloatStorage", "1")}, "storage '1' is missing"}},
      {"storage key that climbs", {{{1}, {1}, 0, storage(6, "FloatStorage", "../version")}, "is missing"}},
      {"33 dimensions", {{std::vector<std::int64_t>(33, 1), std::vector<std::int64_t>(33, 1)}, "33 dimensions"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    expect_contains(refusal(state_dict_pickle({{"w", tensor(damage.first)}})), damage.second);
  }
}

TEST(HostilePickle, ManyExpandedTensorsShareOneBudget) {
  // Each is below the bound of 64 MiB for small files, together they are not.
  std::vector<std::pair<std::string, std::string>> items;
  for (int i = 0; i < 5; ++i) items.emplace_back("w" + std::to_string(i), tensor({{4 << 20}, {0}}));
  expect_contains(refusal(state_dict_pickle(items)), "tensor 'w4'");
}

TEST(HostilePickle, ZeroSizedTensorsNeedNoBytes) {
  const std::string file = torch_zip_around(state_dict_pickle({{"w", tensor({{std::int64_t{1} << 62, 0, 4}, {1, 1, 1}})}}));
  EXPECT_TRUE(read_torch_zip(bytes_of(file)).tensors[0].second.data().empty());
}

TEST(HostilePickle, DeepNestingTakesNoStack) {
  std::string pickle = "\x80\x02";
  pickle += std::string(1'000'000, ']') + std::string(999'999, 'a') + ".";
  expect_contains(refusal(pickle), "state dict");
  expect_contains(refusal("\x80\x02" + std::string(1'000'000, '(') + "."), "empty stack");
}

TEST(HostilePickle, ADictionaryMayHoldItself) {
  // d = {}; d["self"] = d
  expect_contains(refusal("\x80\x02}q\x00"s + text("self") + "h\x00s."s), "no tensors");
}

TEST(HostilePickle, OperationsAreBounded) {
  expect_contains(refusal("\x80\x02" + std::string(pickle::kMaxOperations + 1, '}') + "."), "operations");
}

TEST(HostilePickle, CopiesOfOneContainerAreBounded) {
  // One list of 100,000 pairs, named by OrderedDict again and again: five bytes of pickle for each 800 kB copy.
  std::string pickle = "\x80\x02" + tuple({number(1), number(2)}) + "q\x00](" + std::string();
  pickle = "\x80\x02" + tuple({number(1), number(2)}) + "q"s + '\0' + "](";
  for (int i = 0; i < 100'000; ++i) pickle += "h"s + '\0';
  pickle += "e\x85q\x01" + global("collections", "OrderedDict") + "q\x02";
  for (int i = 0; i < 10'000; ++i) pickle += "h\x02h\x01R0";
  expect_contains(refusal(pickle + "."), "over and over");
}

TEST(HostilePickle, BigIntegersAreReadAsPythonDoes) {
  // -2 as LONG1 of one byte, and a stride given as LONG1 of no bytes, which is 0.
  expect_contains(refusal(state_dict_pickle({{"w", global("torch._utils", "_rebuild_tensor_v2") +
                                                       tuple({storage(), "\x8a\x01\xfe", sizes({1}), sizes({1}), "\x89", "}"}) + "R"}})),
                  "negative (-2)");
  const std::string zero_stride = "\x8a"s + '\0';
  const std::string file =
      torch_zip_around(state_dict_pickle({{"w", global("torch._utils", "_rebuild_tensor_v2") +
                                                    tuple({storage(), number(5), sizes({2}), tuple({zero_stride}), "\x89", "}"}) + "R"}}));
  EXPECT_EQ(text_of(read_torch_zip(bytes_of(file)).tensors[0].second.data()), little_endian(5.0F) + little_endian(5.0F));
}

TEST(HostilePickle, ANameThatComesTwiceIsRefused) {
  expect_contains(refusal(state_dict_pickle({{"w", tensor()}, {"w", tensor()}})), "twice");
}

TEST(HostilePickle, ATensorUnderANumberIsRefused) { expect_contains(refusal("\x80\x02}" + number(3) + tensor() + "s."), "no text"); }

}  // namespace
}  // namespace headstart::test
