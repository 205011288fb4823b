#include <gtest/gtest.h>

#include "support/temp_dir.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

StateDict mixed_state() {
  StateDict state;
  state.tensors.emplace_back("flag", make_tensor(Dtype::kBool, {3}, bytes_of("\x01\x00\x01"s)));
  state.tensors.emplace_back("weight", make_tensor({1, 3}, std::vector<float>{1.5F, -2.0F, 0.25F}));
  state.tensors.emplace_back("count", make_tensor(Dtype::kInt64, {}, bytes_of(little_endian<std::int64_t>(7))));
  state.tensors.emplace_back("half \"quoted\"\n", make_tensor(Dtype::kFloat16, {1}, bytes_of("ab")));
  state.tensors.emplace_back("empty", make_tensor(Dtype::kFloat32, {0, 5}, {}));
  state.metadata = {{"format", "pt"}, {"note", "Käse\n\t\"quoted\" \\"}};
  return state;
}

void expect_equal(const StateDict& a, const StateDict& b) {
  EXPECT_EQ(a.metadata, b.metadata);
  expect_equal_tensors(a, b);
}

TEST(Safetensors, WhatIsWrittenReadsBackEqualInOrder) {
  const TempDir folder;
  write_safetensors(folder / "a.safetensors", mixed_state());
  expect_equal(read_weights(folder / "a.safetensors"), mixed_state());
  write_safetensors(folder / "b.safetensors", {});
  expect_equal(read_weights(folder / "b.safetensors"), {});
}

TEST(Safetensors, EqualStatesGiveEqualFiles) {
  const TempDir folder;
  write_safetensors(folder / "a.safetensors", mixed_state());
  write_safetensors(folder / "b.safetensors", mixed_state());
  EXPECT_EQ(read_text_file(folder / "a.safetensors"), read_text_file(folder / "b.safetensors"));
}

TEST(Safetensors, HeaderAndTensorsAreAligned) {
  const TempDir folder;
  write_safetensors(folder / "a.safetensors", mixed_state());
  const std::string file = read_text_file(folder / "a.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  EXPECT_EQ(header % 8, 0U);
  EXPECT_EQ(file.size(), 8 + header + 3 + 12 + 8 + 2);
  // The 8-byte tensor comes first, the 1-byte one last.
  EXPECT_EQ(file.substr(8 + header, 8), little_endian<std::int64_t>(7));
  EXPECT_EQ(file.substr(file.size() - 3), "\x01\x00\x01"s);
}

TEST(Safetensors, TheHeaderAloneGivesShapesWithoutBytes) {
  const TempDir folder;
  write_safetensors(folder / "a.safetensors", mixed_state());
  const StateDict header = read_safetensors_header(folder / "a.safetensors");
  EXPECT_EQ(header.metadata, mixed_state().metadata);
  ASSERT_EQ(header.tensors.size(), 5U);
  EXPECT_EQ(header.tensors[1].second.shape, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(header.tensors[1].second.bytes, nullptr);
}

TEST(Safetensors, PythonsFileCarriesItsMetadata) {
  const StateDict state = read_weights(golden_dir() / "python.safetensors");
  EXPECT_EQ(state.metadata.at("format"), "pt");
  EXPECT_EQ(state.metadata.at("note"), "Käse \"quoted\"");
}

TEST(Safetensors, WhatCannotBeStoredIsRefusedBeforeAFileIsMade) {
  const TempDir folder;
  const auto refused = [&](const StateDict& state, ErrorCategory category) {
    const std::string message = error_of([&] { write_safetensors(folder / "a.safetensors", state); }, category);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    return message;
  };
  StateDict twice = mixed_state();
  twice.tensors.push_back(twice.tensors.front());
  expect_contains(refused(twice, ErrorCategory::kInternal), "'flag'");
  StateDict reserved;
  reserved.tensors.emplace_back("__metadata__", make_tensor({1}, std::vector<float>{1}));
  refused(reserved, ErrorCategory::kInternal);
  StateDict short_bytes = mixed_state();
  short_bytes.tensors[1].second.shape = {2, 3};
  expect_contains(refused(short_bytes, ErrorCategory::kInternal), "[2, 3]");
  StateDict no_bytes = mixed_state();
  no_bytes.tensors[0].second.bytes = nullptr;
  refused(no_bytes, ErrorCategory::kInternal);
  StateDict bad_text = mixed_state();
  bad_text.metadata["note"] = "\xff";
  expect_contains(refused(bad_text, ErrorCategory::kModel), "UTF-8");
}

std::string file_of(const std::string& header, const std::string& data = "12345678") {
  return little_endian<std::uint64_t>(header.size()) + header + data;
}

TEST(Safetensors, TheBuilderMakesReadableFiles) {
  const std::string file =
      file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"b":{"shape":[4],"data_offsets":[0,4],"dtype":"U8"}}   )");
  const StateDict state = read_safetensors(bytes_of(file));
  EXPECT_EQ(text_of(state.find("a")->data()), "5678");
  EXPECT_EQ(text_of(state.find("b")->data()), "1234");
}

TEST(Safetensors, NamedCorruptionsAreRefused) {
  const auto tensor_field = [](const std::string& fields) { return file_of("{\"a\":{" + fields + "}}"); };
  const std::string shape = R"("dtype":"F32","shape":[2],)";
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"nothing", {"", "the file ends"}},
      {"seven bytes", {"1234567", "the file ends"}},
      {"header longer than the file", {little_endian<std::uint64_t>(100) + "{}", "the file ends"}},
      {"header of 2^64-1 bytes", {little_endian(~std::uint64_t{0}) + "{}", "at most 100000000"}},
      {"header of 100 MB and a byte", {little_endian<std::uint64_t>(100'000'001) + "{}", "at most 100000000"}},
      {"empty header", {file_of(""), "begin with '{'"}},
      {"header is a list", {file_of("[]"), "begin with '{'"}},
      {"space before the header", {file_of(" {}"), "begin with '{'"}},
      {"no JSON", {file_of("{\"a\""), "no valid JSON"}},
      {"text after the JSON", {file_of("{}x", ""), "no valid JSON"}},
      {"invalid UTF-8", {file_of("{\"\xff\":1}"), "no valid JSON"}},
      {"tensor is a number", {file_of(R"({"a":1})"), "a number where none belongs"}},
      {"tensor is a list", {file_of(R"({"a":[1]})"), "an array where none belongs"}},
      {"tensor is null", {file_of(R"({"a":null})"), "null where none belongs"}},
      {"unknown field", {tensor_field(shape + R"("data_offsets":[0,8],"colour":"red")"), "a text where none belongs"}},
      {"object in a field", {tensor_field(R"("shape":{})"), "an object"}},
      {"nested shape", {tensor_field(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"), "an array"}},
      {"shape twice", {tensor_field(shape + R"("shape":[2],"data_offsets":[0,8])"), "an array"}},
      {"dtype twice", {tensor_field(shape + R"("dtype":"F32","data_offsets":[0,8])"), "a text"}},
      {"negative size", {tensor_field(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "a negative number"}},
      {"fractional size", {tensor_field(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), "a fraction"}},
      {"size of 2^63", {tensor_field(R"("dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8])"), "a size above"}},
      {"sizes whose product overflows",
       {tensor_field(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), "does not fit"}},
      {"no dtype", {tensor_field(R"("shape":[2],"data_offsets":[0,8])"), "lacks its dtype"}},
      {"no shape", {tensor_field(R"("dtype":"F32","data_offsets":[0,8])"), "lacks its dtype"}},
      {"no offsets", {tensor_field(R"("dtype":"F32","shape":[2])"), "lacks its dtype"}},
      {"unknown dtype", {tensor_field(R"("dtype":"F32x","shape":[2],"data_offsets":[0,8])"), "'F32x'"}},
      {"known but unreadable dtype", {tensor_field(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), "'F8_E4M3'"}},
      {"one offset", {tensor_field(shape + R"("data_offsets":[0])"), "ascending data_offsets"}},
      {"three offsets", {tensor_field(shape + R"("data_offsets":[0,8,8])"), "ascending data_offsets"}},
      {"descending offsets", {tensor_field(shape + R"("data_offsets":[8,0])"), "ascending data_offsets"}},
      {"range of another size", {tensor_field(shape + R"("data_offsets":[0,7])"), "does not fit its 7 bytes"}},
      {"hole at the start", {tensor_field(R"("dtype":"U8","shape":[4],"data_offsets":[4,8])"), "expected 0"}},
      {"bytes after the last tensor", {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})"), "the file holds 8"}},
      {"bytes missing", {file_of(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})"), "incomplete download"}},
      {"overlap",
       {file_of(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
        "overlap"}},
      {"one range twice",
       {file_of(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})"),
        "overlap"}},
      {"offsets of 2^64-1",
       {tensor_field(R"("dtype":"U8","shape":[8],"data_offsets":[18446744073709551607,18446744073709551615])"), "expected 0"}},
      {"a name twice",
       {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
        "'a' is there twice"}},
      {"metadata twice", {file_of(R"({"__metadata__":{},"__metadata__":{}})", ""), "twice"}},
      {"metadata key twice", {file_of(R"({"__metadata__":{"a":"1","a":"2"}})", ""), "metadata 'a' is there twice"}},
      {"metadata with a number", {file_of(R"({"__metadata__":{"a":1}})", ""), "a number where none belongs"}},
      {"metadata with a list", {file_of(R"({"__metadata__":{"a":[]}})", ""), "an array"}},
      {"metadata is a text", {file_of(R"({"__metadata__":"x"})", ""), "a text where none belongs"}},
      {"deep nesting", {file_of("{\"a\":" + std::string(1'000'000, '[') + "}"), "an array"}},
  };
  for (const auto& [name, damage] : cases) {
    SCOPED_TRACE(name);
    expect_contains(error_of([&file = damage.first] { read_safetensors(bytes_of(file)); }), damage.second);
  }
}

TEST(HostTensor, RefusesBytesThatDoNotFit) {
  error_of([] { make_tensor({2}, std::vector<float>{1}); }, ErrorCategory::kInternal);
  error_of([] { make_tensor(Dtype::kFloat32, {-1}, {}); }, ErrorCategory::kInternal);
  EXPECT_EQ(shape_to_string(make_tensor(Dtype::kUInt8, {2, 1}, bytes_of("ab")).shape), "[2, 1]");
}

}  // namespace
}  // namespace headstart::test
