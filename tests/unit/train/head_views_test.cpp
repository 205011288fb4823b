// The head fitted to several augmented views of each training photo.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/loader.h"
#include "equal_runs.h"
#include "headstart/train.h"
#include "model/folding.h"
#include "support/temp_dir.h"
#include "tiny_run.h"
#include "train/feature_store.h"

namespace headstart {
namespace {

TrainOptions head_options(const std::filesystem::path& folder, const char* name, int views) {
  TrainOptions options = test::tiny_options(folder, {.name = name});
  options.recipe = Recipe::kHead;
  test::ask_for_no_steps(options);
  options.views = views;
  return options;
}

TEST(HeadViews, ATableHasTheRowsOfEveryViewAsTheLoaderDrawsIt) {
  const test::TempDir folder;
  const ResolvedOptions options = resolve(head_options(folder.path(), "run", 3));
  const Catalog catalog = scan_photos(options.photos);
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2);
  FeatureStore store;
  std::int64_t advanced = 0;
  const FeatureProgress progress{.advance = [&](std::int64_t photos) { advanced += photos; }, .should_stop = {}};
  const FeatureTable table = store.table(*network, catalog, Split::kTrain, options, progress, Group());
  const auto photos = std::ssize(catalog.train);
  ASSERT_EQ(table.rows.size(0), 3 * photos);
  EXPECT_EQ(advanced, 3 * photos);
  EXPECT_EQ(store.computed(), 3 * photos);
  const FoldedNetwork folded(*network, at::kFloat);
  Loader loader(catalog.train, {.root = catalog.root,
                                .preprocessing = options.preprocessing,
                                .augmentation = options.augmentation,
                                .batch_size = static_cast<int>(photos),
                                .seed = options.seed});
  for (std::int64_t view = 0; view < 3; ++view) {
    loader.start(identity_order(catalog.train.size()), static_cast<std::uint32_t>(view));
    const Batch batch = *loader.next();
    const at::Tensor features = folded.features(to_input(batch.pixels, batch.count, options.preprocessing, Precision::kFloat32, at::kCPU));
    for (std::int64_t photo = 0; photo < photos; ++photo) {
      const std::int64_t row = table.row_of[static_cast<std::size_t>(view * photos + photo)];
      EXPECT_TRUE(at::equal(table.rows[row], features[photo])) << view << " " << photo;
      EXPECT_EQ(table.labels[static_cast<std::size_t>(row)], catalog.train[static_cast<std::size_t>(photo)].label);
      EXPECT_EQ(table.sample_of[static_cast<std::size_t>(row)], photo);
    }
  }
  // They are there now; another seed's are others, and validation photos have their evaluation view alone.
  store.table(*network, catalog, Split::kTrain, options, progress, Group());
  EXPECT_EQ(store.computed(), 3 * photos);
  ResolvedOptions other = options;
  other.seed = 1;
  EXPECT_FALSE(at::equal(store.table(*network, catalog, Split::kTrain, other, progress, Group()).rows, table.rows));
  EXPECT_EQ(store.table(*network, catalog, Split::kValidation, options, progress, Group()).rows.size(0), std::ssize(catalog.validation));
}

TEST(HeadViews, TheFitIsReproducibleAndKnowsTheViews) {
  const test::TempDir folder;
  const auto model = [&](const char* name, int views, int threads) {
    TrainOptions options = head_options(folder.path(), name, views);
    options.threads = threads;
    std::int64_t total = 0;
    TrainCallbacks callbacks;
    callbacks.on_stage = [&](Stage stage, std::int64_t, std::int64_t all) { total = stage == Stage::kFeatures ? all : total; };
    const TrainResult result = train(options, callbacks);
    EXPECT_EQ(total, 16 * std::max(views, 1) + 4);
    EXPECT_EQ(result.validation.photos.size(), 4U);
    return test::read_model_tensors(options.out);
  };
  const StateDict first = model("first", 3, 1);
  EXPECT_TRUE(test::differing_tensors(first, model("again", 3, 1)).empty());
  EXPECT_EQ(test::differing_tensors(first, model("plain", 0, 1)).size(), 2U) << "the output layer's weight and bias, nothing else";
}

TEST(HeadViews, StepsTakeTheViewsInTurnAndSittingsDoNotMatter) {
  const test::TempDir folder;
  const auto by_steps = [&](const char* name, int views) {
    TrainOptions options = head_options(folder.path(), name, views);
    options.epochs = 4;
    options.batch_size = 4;
    return options;
  };
  train(by_steps("straight", 2));
  const TrainOptions options = by_steps("sittings", 2);
  test::train_in_sittings(options, 5);
  test::expect_equal_runs(folder / "straight", options.out);
  train(by_steps("plain", 0));
  EXPECT_FALSE(test::differing_tensors(test::read_model_tensors(options.out), test::read_model_tensors(folder / "plain")).empty());
}

}  // namespace
}  // namespace headstart
