// The writer of PyTorch files: our reader and, where it is at hand, PyTorch itself open them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/temp_dir.h"
#include "weights_testing.h"

namespace headstart::test {
namespace {

StateDict all_kinds() {
  StateDict state;
  for (const Dtype dtype : {Dtype::kFloat64, Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kInt64, Dtype::kInt32,
                            Dtype::kInt16, Dtype::kInt8, Dtype::kUInt8, Dtype::kBool}) {
    state.tensors.emplace_back("kind." + std::string(to_string(dtype)),
                               make_tensor(dtype, {2, 1, 3}, bytes_of(std::string(6 * byte_size(dtype), '\x01'))));
  }
  state.tensors.emplace_back("scalar", make_tensor(Dtype::kInt64, {}, bytes_of(little_endian<std::int64_t>(7))));
  state.tensors.emplace_back("empty", make_tensor(Dtype::kFloat32, {0, 5}, {}));
  state.tensors.emplace_back("Käse \"'\n", make_tensor({3}, std::vector<float>{1.5F, -2.0F, 0.25F}));
  return state;
}

TEST(TorchWrite, WhatIsWrittenReadsBackEqualInOrder) {
  const TempDir folder;
  write_torch_zip(folder / "a.pth", all_kinds());
  expect_equal_tensors(read_weights(folder / "a.pth"), all_kinds());
}

TEST(TorchWrite, EqualStatesGiveEqualFilesWithAlignedRecords) {
  const TempDir folder;
  write_torch_zip(folder / "a.pth", all_kinds());
  write_torch_zip(folder / "b.pth", all_kinds());
  const std::string file = read_text_file(folder / "a.pth");
  EXPECT_EQ(file, read_text_file(folder / "b.pth"));
  const ZipDirectory zip(bytes_of(file));
  EXPECT_EQ(zip.entries().size(), 3 + all_kinds().tensors.size());
  for (const ZipEntry& entry : zip.entries()) EXPECT_EQ((zip.read(entry).data() - bytes_of(file).data()) % 64, 0) << entry.name;
}

TEST(TorchWrite, WhatCannotBeStoredIsRefusedBeforeAFileIsMade) {
  const TempDir folder;
  StateDict state;
  state.tensors.emplace_back("\xff", make_tensor({1}, std::vector<float>{1}));
  expect_contains(error_of([&] { write_torch_zip(folder / "a.pth", state); }), "UTF-8");
  state.tensors[0] = {"w", make_tensor({1}, std::vector<float>{1})};
  state.tensors[0].second.shape = {2};
  error_of([&] { write_torch_zip(folder / "a.pth", state); }, ErrorCategory::kInternal);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// Only where HEADSTART_PYTHON names an interpreter with torch.
TEST(TorchWrite, PyTorchLoadsItAsWeightsOnly) {
  const char* const python = std::getenv("HEADSTART_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "skipped: HEADSTART_PYTHON is not set";
  if (std::system((std::string(python) + " -c 'import torch' 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "skipped: " << python << " has no torch";
  const TempDir folder;
  write_torch_zip(folder / "a.pth", all_kinds());
  write_file_atomically(folder / "check.py",
                        "import sys, torch\n"
                        "state = torch.load(sys.argv[1], weights_only=True)\n"
                        "assert len(state) == 13 and all(value.is_contiguous() for value in state.values())\n"
                        "assert state['kind.F32'].shape == (2, 1, 3) and state['kind.BF16'].dtype == torch.bfloat16\n"
                        "assert state['scalar'].item() == 7 and state['empty'].shape == (0, 5)\n"
                        "assert state['K\\u00e4se \"\\'\\n'].tolist() == [1.5, -2.0, 0.25]\n");
  const std::string command = std::string(python) + " " + (folder / "check.py").string() + " " + (folder / "a.pth").string();
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace headstart::test
