// Gluon's .params: files of MXNet itself (tools/golden/gluon.py), what is written reads back, and damage.
#include "weights/gluon_params.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/temp_dir.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  std::string digits;
  for (const std::byte byte : bytes) {
    digits += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    digits += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
  return digits;
}

TEST(GluonParams, EveryGoldenFileGivesMxnetsArrays) {
  const auto files = nlohmann::json::parse(read_text_file(golden_dir() / "gluon_expected.json")).at("files");
  ASSERT_EQ(files.size(), 5U);
  for (const auto& [name, rows] : files.items()) {
    SCOPED_TRACE(name);
    const StateDict state = read_weights(golden_dir() / name);
    ASSERT_EQ(state.tensors.size(), rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto& [key, tensor] = state.tensors[i];
      EXPECT_EQ(key, rows[i].at("name").get<std::string>());
      EXPECT_EQ(to_string(tensor.dtype), rows[i].at("dtype").get<std::string>()) << key;
      EXPECT_EQ(tensor.shape, rows[i].at("shape").get<std::vector<std::int64_t>>()) << key;
      EXPECT_EQ(hex(tensor.data()), rows[i].at("bytes").get<std::string>()) << key;
    }
  }
}

TEST(GluonParams, WhatIsWrittenIsWhatMxnetWrites) {
  const TempDir folder;
  write_gluon_params(folder / "a.params", read_weights(golden_dir() / "gluon_v2.params"));
  EXPECT_EQ(read_text_file(folder / "a.params"), read_text_file(golden_dir() / "gluon_v2.params"));
}

TEST(GluonParams, AScalarBecomesOneElement) {
  const TempDir folder;
  StateDict state;
  state.tensors.emplace_back("count", make_tensor(Dtype::kInt64, {}, bytes_of(little_endian<std::int64_t>(7))));
  write_gluon_params(folder / "a.params", state);
  const StateDict read = read_weights(folder / "a.params");
  EXPECT_EQ(read.tensors.at(0).second.shape, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(text_of(read.tensors.at(0).second.data()), little_endian<std::int64_t>(7));
}

TEST(GluonParams, WhatMxnetCannotHoldIsRefusedBeforeAFileIsMade) {
  const TempDir folder;
  StateDict state;
  state.tensors.emplace_back("w", make_tensor({1}, std::vector<float>{1}));
  state.tensors.emplace_back("brain", make_tensor(Dtype::kBFloat16, {1}, bytes_of("ab")));
  expect_contains(error_of([&] { write_gluon_params(folder / "a.params", state); }), "'brain'");
  state.tensors.back().second.bytes = nullptr;
  error_of([&] { write_gluon_params(folder / "a.params", state); }, ErrorCategory::kInternal);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// The parts of a file with one array of two floats.
struct Params {
  std::string magic = little_endian<std::uint64_t>(0x112) + little_endian<std::uint64_t>(0);
  std::string count = little_endian<std::uint64_t>(1);
  std::string array_magic = little_endian<std::uint32_t>(0xF993FAC9);
  std::string storage_type = little_endian<std::int32_t>(0);
  std::string rank = little_endian<std::int32_t>(1);
  std::string shape = little_endian<std::int64_t>(2);
  std::string device = little_endian<std::int32_t>(2) + little_endian<std::int32_t>(3);
  std::string type = little_endian<std::int32_t>(0);
  std::string data = little_endian(1.5F) + little_endian(-2.0F);
  std::string names = little_endian<std::uint64_t>(1);
  std::string name = little_endian<std::uint64_t>(5) + "arg:w";
  std::string array() const { return array_magic + storage_type + rank + shape + device + type + data; }
  std::string file() const { return magic + count + array() + names + name; }
};

TEST(GluonParams, TheBuilderMakesReadableFiles) {
  const StateDict state = read_gluon_params(bytes_of(Params().file()));
  ASSERT_EQ(state.tensors.size(), 1U);
  EXPECT_EQ(state.tensors[0].first, "w");
  EXPECT_EQ(text_of(state.tensors[0].second.data()), Params().data);
}

TEST(GluonParams, NamedCorruptionsAreRefused) {
  const auto huge = little_endian(~std::uint64_t{0});
  const std::map<std::string, std::pair<std::function<void(Params&)>, std::string>> cases = {
      {"another magic number", {[](Params& p) { p.magic[0] = 'x'; }, "0x112"}},
      {"no arrays, one name", {[](Params& p) { p.count = little_endian<std::uint64_t>(0); }, "expected"}},
      {"more arrays than there are", {[](Params& p) { p.count = little_endian<std::uint64_t>(2); }, "array 1"}},
      {"2^64-1 arrays", {[&](Params& p) { p.count = huge; }, "array 1"}},
      {"row-sparse", {[](Params& p) { p.storage_type = little_endian<std::int32_t>(1); }, "array 0 is sparse"}},
      {"storage type -1", {[](Params& p) { p.storage_type = little_endian<std::int32_t>(-1); }, "array 0 is sparse"}},
      {"33 dimensions", {[](Params& p) { p.rank = little_endian<std::int32_t>(33); }, "33 dimensions"}},
      {"rank 2^31", {[](Params& p) { p.rank = little_endian<std::uint32_t>(1U << 31); }, "dimensions"}},
      {"negative dimension", {[](Params& p) { p.shape = little_endian<std::int64_t>(-2); }, "dimension of -2"}},
      {"dimension of 2^62", {[](Params& p) { p.shape = little_endian(std::int64_t{1} << 62); }, "does not fit"}},
      {"dimensions whose product overflows",
       {[](Params& p) {
          p.rank = little_endian<std::int32_t>(2);
          p.shape = little_endian(std::int64_t{1} << 40) + little_endian(std::int64_t{1} << 40);
        },
        "does not fit"}},
      {"larger than the file", {[](Params& p) { p.shape = little_endian<std::int64_t>(1000); }, "the file ends inside array 0"}},
      {"never filled",
       {[](Params& p) {
          p.rank = little_endian<std::int32_t>(0);
          p.shape = p.device = p.type = p.data = "";
        },
        "'w' was never filled"}},
      {"of unknown rank",
       {[](Params& p) {
          p.array_magic = little_endian<std::uint32_t>(0xF993FACA);
          p.rank = little_endian<std::int32_t>(-1);
          p.shape = p.device = p.type = p.data = "";
        },
        "'w' was never filled"}},
      {"unknown type", {[](Params& p) { p.type = little_endian<std::int32_t>(13); }, "unknown type 13"}},
      {"negative type", {[](Params& p) { p.type = little_endian<std::int32_t>(-1); }, "unknown type -1"}},
      {"known but unreadable type", {[](Params& p) { p.type = little_endian<std::int32_t>(10); }, "'w' is of uint32 values"}},
      {"no names", {[](Params& p) { p.names = little_endian<std::uint64_t>(0); }, "without names"}},
      {"two names", {[](Params& p) { p.names = little_endian<std::uint64_t>(2); }, "1 arrays and 2 names"}},
      {"name of 2^64-1 bytes", {[&](Params& p) { p.name = huge + "w"; }, "the file ends inside a name"}},
      {"cut name", {[](Params& p) { p.name.pop_back(); }, "the file ends inside a name"}},
      {"a name twice",
       {[](Params& p) {
          p.count = p.names = little_endian<std::uint64_t>(2);
          p.names = p.array() + p.names;  // a second array before the names
          p.name = p.name + little_endian<std::uint64_t>(1) + "w";
        },
        "'w' is there twice"}},
      {"bytes behind the end", {[](Params& p) { p.name += "x"; }, "1 bytes follow"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    Params params;
    damage.first(params);
    const std::string message = error_of([&] { read_gluon_params(bytes_of(params.file())); });
    if (damage.second != "expected") {
      expect_contains(message, damage.second);
    }
  }
}

TEST(GluonParams, CutAtAnyByteTheyAreRefused) {
  for (const std::string name : {"gluon_v3.params", "gluon_before_v1.params"}) {
    const std::string whole = read_text_file(golden_dir() / name);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      EXPECT_THROW(read_gluon_params(bytes_of(whole).first(length)), Error) << name << " cut to " << length;
    }
  }
}

TEST(GluonParams, AChangedByteNeverLeavesTheFileUnlessItIsRefused) {
  for (const std::string name : {"gluon_v3.params", "gluon_v1.params", "gluon_before_v1.params"}) {
    expect_changed_bytes_are_survived(name, [](std::span<const std::byte> bytes) { read_gluon_params(bytes); });
  }
}

TEST(GluonParams, TheFuzzersCorpusEndsInAStateDictOrAnError) {
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() / "tests/corpus/weights")) {
    const std::string bytes = read_text_file(entry.path());
    try {
      read_gluon_params(bytes_of(bytes));
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kModel) << entry.path();
    }
  }
}

}  // namespace
}  // namespace headstart::test
