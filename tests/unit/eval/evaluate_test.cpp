#include "headstart/evaluate.h"

#include <gtest/gtest.h>

#include <fstream>

#include "eval/scoring.h"
#include "headstart/error.h"
#include "support/temp_dir.h"
#include "support/tiny_dataset.h"
#include "tiny_model.h"

namespace headstart {
namespace {

const std::vector<std::string> kClasses = {"class_0", "class_1"};

// A catalogue of `each` photos a class, all in the test split.
Catalog make_catalog(const test::TempDir& folder, int each) {
  test::make_tiny_dataset(folder.path(), kClasses, each);
  return scan_for_evaluation(folder.path(), kClasses);
}

TEST(Evaluate, GivesTheSameFiguresTwiceAndThoseOfTheSingleAnswers) {
  const test::TempDir models, photos;
  test::write_tiny_model(models / "m.safetensors", kClasses);
  const Classifier classifier = Classifier::open(models / "m.safetensors");
  const Catalog catalog = make_catalog(photos, 5);
  std::int64_t last = 0;
  const Evaluation first =
      evaluate(classifier, catalog, Split::kTest, {.batch_size = 4, .on_progress = [&](std::int64_t done, std::int64_t total) {
                                                     EXPECT_EQ(done, last + 1);
                                                     EXPECT_EQ(total, 10);
                                                     last = done;
                                                   }});
  const Evaluation second = evaluate(classifier, catalog, Split::kTest, {.batch_size = 4});
  EXPECT_EQ(last, 10);
  ASSERT_EQ(first.photos.size(), 10U);
  EXPECT_EQ(first.metrics.top1, second.metrics.top1);
  EXPECT_EQ(first.metrics.mean_loss, second.metrics.mean_loss);
  EXPECT_EQ(first.metrics.confusion, second.metrics.confusion);
  for (std::size_t i = 0; i < first.photos.size(); ++i) {
    EXPECT_EQ(first.photos[i].path, catalog.test[i].path);
    EXPECT_EQ(first.photos[i].label, catalog.test[i].label);
    EXPECT_EQ(first.photos[i].probabilities, second.photos[i].probabilities);
    const std::vector<float> alone = classifier.predict_file(catalog.root / catalog.test[i].path);
    EXPECT_EQ(top_scores(alone, 1)[0].label, top_scores(first.photos[i].probabilities, 1)[0].label);
  }
}

TEST(Evaluate, ListsPhotosThatCannotBeReadAndScoresTheRest) {
  const test::TempDir models, photos;
  test::write_tiny_model(models / "m.safetensors", kClasses);
  const Classifier classifier = Classifier::open(models / "m.safetensors");
  const Catalog catalog = make_catalog(photos, 3);
  std::ofstream(catalog.root / catalog.test[1].path) << "damaged";
  std::filesystem::remove(catalog.root / catalog.test[4].path);
  const Evaluation evaluation = evaluate(classifier, catalog, Split::kTest);
  EXPECT_EQ(evaluation.metrics.photos, 4);
  ASSERT_EQ(evaluation.unreadable.size(), 2U);
  EXPECT_EQ(evaluation.unreadable[0].path, catalog.test[1].path);
  EXPECT_EQ(evaluation.unreadable[1].path, catalog.test[4].path);
  EXPECT_FALSE(evaluation.unreadable[0].reason.empty());
}

TEST(Evaluate, RefusesASplitWithoutReadablePhotosAndAnotherModelsClasses) {
  const test::TempDir models, photos;
  test::write_tiny_model(models / "m.safetensors", kClasses);
  const Classifier classifier = Classifier::open(models / "m.safetensors");
  Catalog catalog = make_catalog(photos, 1);
  const auto category_of = [&](Split split) {
    try {
      evaluate(classifier, catalog, split);
    } catch (const Error& error) {
      return error.category();
    }
    return ErrorCategory::kInternal;
  };
  EXPECT_EQ(category_of(Split::kTrain), ErrorCategory::kData);  // empty
  for (const Sample& sample : catalog.test) std::ofstream(catalog.root / sample.path) << "damaged";
  EXPECT_EQ(category_of(Split::kTest), ErrorCategory::kData);
  catalog.classes = {"class_1", "class_0"};
  EXPECT_EQ(category_of(Split::kTest), ErrorCategory::kUsage);
}

TEST(Evaluate, StopsWhenAsked) {
  const test::TempDir models, photos;
  test::write_tiny_model(models / "m.safetensors", kClasses);
  const Classifier classifier = Classifier::open(models / "m.safetensors");
  const Catalog catalog = make_catalog(photos, 2);
  EXPECT_THROW(evaluate(classifier, catalog, Split::kTest, {.should_stop = [] { return true; }}), Error);
}

TEST(ScoreSamples, ScoresALiveNetworkAsTheClassifierDoesAndLeavesItUnchanged) {
  const test::TempDir models, photos;
  test::write_tiny_model(models / "m.safetensors", kClasses);
  const Catalog catalog = make_catalog(photos, 3);
  const auto network = test::tiny_network(2);
  const StateDict before = network->state();
  const ScoredSamples scored = score_samples(FoldedNetwork(*network, at::kFloat), catalog.root, catalog.test,
                                             {.preprocessing = test::tiny_preprocessing(), .batch_size = 4});
  const Evaluation evaluation = evaluate(Classifier::open(models / "m.safetensors"), catalog, Split::kTest, {.batch_size = 4});
  ASSERT_EQ(scored.photos.size(), evaluation.photos.size());
  for (std::size_t i = 0; i < scored.photos.size(); ++i) EXPECT_EQ(scored.photos[i].probabilities, evaluation.photos[i].probabilities);
  const StateDict after = network->state();
  for (std::size_t i = 0; i < before.tensors.size(); ++i) {
    EXPECT_EQ(*before.tensors[i].second.bytes, *after.tensors[i].second.bytes) << before.tensors[i].first;
  }
}

}  // namespace
}  // namespace headstart
