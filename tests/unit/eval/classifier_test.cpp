#include "headstart/classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "core/file.h"
#include "eval/scoring.h"
#include "headstart/error.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"
#include "tiny_model.h"

namespace headstart {
namespace {

// One model file for all tests: it takes a second to make.
class ClassifierTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TempDir;
    test::write_tiny_model(model(), {"ant", "bee", "cat"});
    for (int i = 0; i < 9; ++i) test::write_ppm(photo(i), 40 + i, 50, test::tiny_photo(i, i, 5, 50));
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::filesystem::path model() { return *folder_ / "model.safetensors"; }
  static std::filesystem::path photo(int i) { return *folder_ / (std::to_string(i) + ".ppm"); }
  static std::vector<std::filesystem::path> photos() {
    std::vector<std::filesystem::path> paths;
    for (int i = 0; i < 9; ++i) paths.push_back(photo(i));
    return paths;
  }

  static std::vector<PhotoPrediction> stream(const Classifier& classifier, const std::vector<std::filesystem::path>& paths,
                                             int batch_size) {
    std::vector<PhotoPrediction> answers;
    std::size_t at = 0;
    classifier.predict_stream([&]() { return at < paths.size() ? std::optional(paths[at++]) : std::nullopt; },
                              [&](const PhotoPrediction& answer) { answers.push_back(answer); }, {.batch_size = batch_size});
    return answers;
  }

  static test::TempDir* folder_;
};
test::TempDir* ClassifierTest::folder_ = nullptr;

// The engine may choose another kernel for another batch size; float32 rounding over some fifty layers stays far below this.
constexpr float kRounding = 2e-5F;

void expect_close(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(std::abs(actual[i] - expected[i]) <= kRounding) << i << ": " << actual[i] << ", expected " << expected[i];
  }
}

TEST_F(ClassifierTest, AnswersTheSameFromAFileFromBytesAndFromPixels) {
  const Classifier classifier = Classifier::open(model());
  EXPECT_EQ(classifier.info().classes, (std::vector<std::string>{"ant", "bee", "cat"}));
  std::vector<std::byte> encoded;
  read_file(photo(3), encoded);
  const Image image = read_image(photo(3));
  const std::vector<float> probabilities = classifier.predict_file(photo(3));
  ASSERT_EQ(probabilities.size(), 3U);
  EXPECT_NEAR(probabilities[0] + probabilities[1] + probabilities[2], 1, 1e-5);
  EXPECT_EQ(classifier.predict_encoded(encoded), probabilities);
  EXPECT_EQ(classifier.predict(image), probabilities);
  EXPECT_EQ(classifier.predict_rgb(image.rgb, image.size), probabilities);
  EXPECT_NE(classifier.predict_file(photo(4)), probabilities);
}

TEST_F(ClassifierTest, EqualsTheNetworkOnPreprocessedPixels) {
  const Classifier classifier = Classifier::open(model());
  const auto network = test::tiny_network(3);
  const Image view = preprocess(read_image(photo(2)), test::tiny_preprocessing());
  const c10::NoGradGuard no_grad;
  const at::Tensor input = to_input(view.rgb, 1, test::tiny_preprocessing(), Precision::kFloat32, at::kCPU);
  const at::Tensor expected = at::softmax(network->forward(input, NormMode::kRunningStatistics), 1);
  const float* values = expected.const_data_ptr<float>();
  expect_close(classifier.predict_file(photo(2)), std::vector<float>(values, values + 3));  // folded otherwise
}

TEST_F(ClassifierTest, StreamsInOrderAndGivesTheSameAnswersWhateverTheBatch) {
  const Classifier classifier = Classifier::open(model());
  const auto paths = photos();
  for (const int batch_size : {1, 2, 4, 32}) {
    const auto answers = stream(classifier, paths, batch_size);
    ASSERT_EQ(answers.size(), paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) {
      EXPECT_EQ(answers[i].path, paths[i]);
      EXPECT_EQ(answers[i].error, "");
      expect_close(answers[i].probabilities, classifier.predict_file(paths[i]));
    }
  }
}

TEST_F(ClassifierTest, AStreamIsBitEqualWhenRepeatedAndWithAnyNumberOfDecoders) {
  const Classifier one = Classifier::open(model(), {.threads = 1});
  const auto first = stream(one, photos(), 4);
  const auto second = stream(one, photos(), 4);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].probabilities, second[i].probabilities);
}

TEST_F(ClassifierTest, APhotoThatCannotBeReadIsAnAnswerWithItsReason) {
  const Classifier classifier = Classifier::open(model());
  std::ofstream(*folder_ / "text.jpg") << "not a picture";
  const auto answers = stream(classifier, {photo(0), *folder_ / "text.jpg", *folder_ / "missing.png", photo(1)}, 4);
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_FALSE(answers[1].error.empty());
  EXPECT_TRUE(answers[1].probabilities.empty());
  EXPECT_FALSE(answers[2].error.empty());
  expect_close(answers[0].probabilities, classifier.predict_file(photo(0)));
  expect_close(answers[3].probabilities, classifier.predict_file(photo(1)));
}

TEST_F(ClassifierTest, ExceptionsOfTheStreamsEndsReachTheCaller) {
  const Classifier classifier = Classifier::open(model());
  const auto fail = []() -> std::optional<std::filesystem::path> { throw std::runtime_error("next"); };
  const auto endless = [] { return std::optional(photo(0)); };
  EXPECT_THROW(classifier.predict_stream(fail, [](const PhotoPrediction&) {}, {}), std::runtime_error);
  EXPECT_THROW(classifier.predict_stream(endless, [](const PhotoPrediction&) { throw std::logic_error("sink"); }, {.batch_size = 2}),
               std::logic_error);
}

TEST_F(ClassifierTest, StopsAnEndlessStreamWhenAsked) {
  const Classifier classifier = Classifier::open(model());
  int answers = 0;
  try {
    classifier.predict_stream([] { return std::optional(photo(0)); }, [&](const PhotoPrediction&) { ++answers; },
                              {.batch_size = 2, .should_stop = [&] { return answers >= 6; }});
    FAIL() << "it did not stop";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInterrupted);
  }
  EXPECT_EQ(answers, 6);
}

TEST_F(ClassifierTest, CanBeUsedFromSeveralThreadsAtOnce) {
  const Classifier classifier = Classifier::open(model());
  std::vector<std::vector<float>> expected;
  for (int i = 0; i < 4; ++i) expected.push_back(classifier.predict_file(photo(i)));
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> actual(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] { actual[static_cast<std::size_t>(i)] = classifier.predict_file(photo(i)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 4; ++i) expect_close(actual[i], expected[i]);
}

TEST_F(ClassifierTest, NamesThePhotoThatItCannotRead) {
  const Classifier classifier = Classifier::open(model());
  std::ofstream(*folder_ / "text.jpg") << "not a picture";
  try {
    classifier.predict_file(*folder_ / "text.jpg");
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kData);
    EXPECT_NE(std::string(error.what()).find("text.jpg"), std::string::npos) << error.what();
  }
  EXPECT_THROW(classifier.predict_encoded({}), Error);
}

TEST_F(ClassifierTest, RefusesPixelsThatDoNotFitTheirSize) {
  const Classifier classifier = Classifier::open(model());
  const std::vector<std::uint8_t> rgb(5 * 4 * 3);
  for (const ImageSize size : {ImageSize{5, 5}, ImageSize{0, 0}, ImageSize{-5, -4}, ImageSize{1 << 16, 1 << 16}}) {
    EXPECT_THROW(classifier.predict_rgb(rgb, size), Error) << size.height << "x" << size.width;
  }
  EXPECT_EQ(classifier.predict_rgb(rgb, {5, 4}).size(), 3U);
}

TEST_F(ClassifierTest, RefusesAFileThatIsNoModel) {
  std::ofstream(*folder_ / "no_model.safetensors") << "nothing";
  EXPECT_THROW(Classifier::open(*folder_ / "no_model.safetensors"), Error);
  EXPECT_THROW(Classifier::open(*folder_ / "missing.safetensors"), Error);
}

TEST_F(ClassifierTest, RefusesAnArchitectureItDoesNotKnowAndWeightsThatDoNotFit) {
  ModelFile file = read_model_file(model());
  file.info.architecture = "resnet9000";
  write_model_file(*folder_ / "unknown.safetensors", file.info, file.weights);
  file.info.architecture = "resnet18";
  write_model_file(*folder_ / "unfit.safetensors", file.info, file.weights);
  for (const char* name : {"unknown.safetensors", "unfit.safetensors"}) {
    try {
      Classifier::open(*folder_ / name);
      FAIL() << name << " was opened";
    } catch (const Error& error) {
      EXPECT_EQ(error.category(), ErrorCategory::kModel);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
}

TEST(SoftmaxRows, SumToOneAndSurviveLargeLogits) {
  const at::Tensor logits = at::tensor({1000.0F, 0.0F, -1000.0F, 2.0F, 2.0F, 2.0F}).reshape({2, 3});
  const std::vector<float> shares = softmax_rows(logits);
  EXPECT_EQ(shares, (std::vector<float>{1, 0, 0, 1.0F / 3, 1.0F / 3, 1.0F / 3}));
  EXPECT_EQ(softmax_rows(logits.to(at::kBFloat16)).size(), 6U);
}

}  // namespace
}  // namespace headstart
