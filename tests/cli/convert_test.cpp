// headstart convert: every format to every other, and what it refuses.
#include <algorithm>

#include "cli/fixture.h"
#include "model/network.h"
#include "support/shared_data.h"
#include "weights/gluon_params.h"
#include "weights/state_dict.h"

namespace headstart::test {
namespace {

// Float32 weights of an architecture, in its own names.
StateDict weights_of(const char* architecture) { return make_network(architecture, 3, 1)->state(); }

void expect_same_values(const StateDict& actual, const StateDict& expected) {
  ASSERT_EQ(actual.tensors.size(), expected.tensors.size());
  for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
    EXPECT_EQ(actual.tensors[i].second.shape, expected.tensors[i].second.shape) << expected.tensors[i].first;
    EXPECT_EQ(*actual.tensors[i].second.bytes, *expected.tensors[i].second.bytes) << expected.tensors[i].first;
  }
}

void expect_same(const StateDict& actual, const StateDict& expected) {
  expect_same_values(actual, expected);
  for (std::size_t i = 0; i < std::min(actual.tensors.size(), expected.tensors.size()); ++i) {
    EXPECT_EQ(actual.tensors[i].first, expected.tensors[i].first);
  }
}

class Convert : public ::testing::Test {
 protected:
  Outcome convert(const std::filesystem::path& in, const std::filesystem::path& out, const std::vector<std::string>& options = {}) {
    return run(joined({"convert", in.string(), out.string()}, options));
  }
  TempDir folder_;
};

TEST_F(Convert, GoesRoundThroughEveryFormat) {
  const StateDict weights = weights_of("resnet18_v2");
  write_gluon_params(folder_ / "a.params", weights);
  const Outcome outcome = convert(folder_ / "a.params", folder_ / "b.pth");
  EXPECT_EXIT_CODE(outcome, 0);
  EXPECT_EQ(outcome.out, (folder_ / "b.pth").string() + "\n");
  EXPECT_TRUE(says(outcome.err, "resnet18_v2"));
  EXPECT_EXIT_CODE(convert(folder_ / "b.pth", folder_ / "c.safetensors"), 0);
  EXPECT_EXIT_CODE(convert(folder_ / "c.safetensors", folder_ / "d.params"), 0);
  EXPECT_EQ(text_of(folder_ / "a.params"), text_of(folder_ / "d.params"));
  expect_same(read_weights(folder_ / "b.pth"), weights);
  expect_same(read_weights(folder_ / "c.safetensors"), weights);
}

TEST_F(Convert, TheNetworkThatBothZoosHaveGetsTheNamesOfEach) {
  const StateDict torchvision = weights_of("resnet18");
  write_torch_zip(folder_ / "a.pth", torchvision);
  EXPECT_EXIT_CODE(convert(folder_ / "a.pth", folder_ / "b.params"), 0);
  const StateDict gluon = read_weights(folder_ / "b.params");
  expect_same_values(gluon, torchvision);
  EXPECT_EQ(recognize_architecture(gluon), &find_architecture("resnet18_v1"));
  EXPECT_NE(gluon.find("features.4.0.body.1.gamma"), nullptr);
  EXPECT_EXIT_CODE(convert(folder_ / "b.params", folder_ / "c.pt"), 0);
  EXPECT_EQ(text_of(folder_ / "a.pth"), text_of(folder_ / "c.pt"));
  EXPECT_EXIT_CODE(convert(folder_ / "b.params", folder_ / "d.safetensors"), 0);
  expect_same(read_weights(folder_ / "d.safetensors"), gluon);
}

TEST_F(Convert, AModelFileKeepsWhatItSaysOfItselfAsSafetensorsOnly) {
  EXPECT_EXIT_CODE(convert(model_file(), folder_ / "a.safetensors"), 0);
  EXPECT_EQ(text_of(folder_ / "a.safetensors"), text_of(model_file()));
  EXPECT_EXIT_CODE(convert(model_file(), folder_ / "a.pth"), 0);
  expect_same(read_weights(folder_ / "a.pth"), read_weights(model_file()));
}

TEST_F(Convert, ABackboneWithoutOutputLayerIsConverted) {
  StateDict weights = weights_of("resnet18_v2");
  weights.tensors.resize(weights.tensors.size() - 2);
  write_safetensors(folder_ / "a.safetensors", weights);
  EXPECT_EXIT_CODE(convert(folder_ / "a.safetensors", folder_ / "b.params"), 0);
  expect_same(read_weights(folder_ / "b.params"), weights);
}

TEST_F(Convert, AFileThatIsThereIsReplacedOnlyWhenForced) {
  write_text(folder_ / "out.pth", "precious");
  const Outcome refused = convert(weights_file(), folder_ / "out.pth");
  EXPECT_EXIT_CODE(refused, ErrorCategory::kFile);
  EXPECT_TRUE(says(refused.err, "--force"));
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(text_of(folder_ / "out.pth"), "precious");
  EXPECT_EXIT_CODE(convert(weights_file(), folder_ / "out.pth", {"--force", "--quiet"}), 0);
  expect_same(read_weights(folder_ / "out.pth"), read_weights(weights_file()));
}

TEST_F(Convert, WhatCannotBeConvertedLeavesNothing) {
  StateDict lacking = weights_of("resnet18_v2");
  lacking.tensors.erase(lacking.tensors.begin() + 4);
  write_safetensors(folder_ / "lacking.safetensors", lacking);
  write_text(folder_ / "text.params", "no weights");
  write_text(folder_ / "damaged.params", text_of(source_dir() / "tests/golden/weights/gluon_v2.params").substr(0, 100));
  struct Case {
    std::vector<std::string> arguments;
    ErrorCategory category;
    std::string said;
  };
  const std::string out = (folder_ / "out.pth").string();
  const auto file = [&](const char* name) { return (folder_ / name).string(); };
  const std::vector<Case> cases = {
      {{file("lacking.safetensors"), out}, ErrorCategory::kModel, "fit none of the known architectures"},
      {{file("lacking.safetensors"), out, "--architecture", "resnet18_v2"}, ErrorCategory::kModel, "1 missing: features.1.weight"},
      {{file("lacking.safetensors"), out, "--architecture", "resnet19_v2"}, ErrorCategory::kUsage, "resnet18_v2"},
      {{weights_file().string(), out, "--architecture", "resnet18"}, ErrorCategory::kModel, "conv1.weight"},
      {{file("text.params"), out}, ErrorCategory::kModel, "text.params"},
      {{file("damaged.params"), out}, ErrorCategory::kModel, "the file ends"},
      {{file("absent.params"), out}, ErrorCategory::kFile, "absent.params"},
      {{weights_file().string(), file("out.onnx")}, ErrorCategory::kUsage, ".safetensors"},
      {{weights_file().string(), file("out")}, ErrorCategory::kUsage, ".params"},
      {{weights_file().string(), file("absent/out.pth")}, ErrorCategory::kFile, "absent/out.pth"},
  };
  for (const Case& item : cases) {
    const Outcome outcome = run(joined({"convert"}, item.arguments));
    EXPECT_EXIT_CODE(outcome, item.category) << ::testing::PrintToString(item.arguments);
    EXPECT_TRUE(says(outcome.err, item.said));
    EXPECT_EQ(outcome.out, "");
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 3U) << "only the inputs";
}

}  // namespace
}  // namespace headstart::test
