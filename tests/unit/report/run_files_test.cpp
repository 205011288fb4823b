#include "report/run_files.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/thread_pool.h"
#include "fake_result.h"
#include "headstart/error.h"

namespace headstart {
namespace {

using nlohmann::ordered_json;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Every field away from its default, numbers that need all their digits.
ResolvedOptions odd_options() {
  ResolvedOptions o = test::fake_options({});
  o.photos = "photos/with \xFF byte, comma and \"quotes\"";
  o.out = "runs/ü/";
  o.model = "C:\\weights\n.pth";
  o.recipe = Recipe::kHead;
  o.lr = 0.1 + 0.2;
  o.head_lr_multiplier = 1.0 / 3;
  o.warmup_epochs = 5e-324;
  o.optimizer = OptimizerKind::kAdamW;
  o.head_init = HeadInit::kClass;
  o.head_class = {{"hot dogs", "hotdog, hot dog"}, {"a=b", "934"}};
  o.weight_decay = 0.05;
  o.label_smoothing = 0.1;
  o.imbalance = Imbalance::kBalancedSampler;
  o.batch_norm = BatchNormPolicy::kFrozenStatistics;
  o.freeze_until = "layer2";
  o.refit = Refit::kHead;
  o.views = 5;
  o.accumulate = 4;
  o.clip_norm = 1.5;
  o.precision = Precision::kFloat32;
  o.device = "cuda:1";
  o.threads = 7;
  o.processes = 3;
  o.sync_batch_norm = true;
  o.seed = std::numeric_limits<std::uint64_t>::max();
  o.validation_fraction = 0.3;
  o.max_unreadable_share = 0;
  o.preprocessing = {.resize_mode = ResizeMode::kSquash, .resize_size = 300, .crop_size = 260, .interpolation = Interpolation::kBicubic};
  o.preprocessing.mean = {0.1F, 0.2F, 0.3F};
  o.preprocessing.std = {0.498F, 0.502F, 1.0F / 3};
  o.preprocessing.decode = {
      .apply_exif_orientation = false, .alpha = Alpha::kDrop, .clip_16_bit_grey = true, .max_pixels = 123'456'789'012};
  o.augmentation = {.min_area = 0.35, .max_area = 0.9, .min_aspect = 0.8, .max_aspect = 1.25, .flip_probability = 0, .fast_decode = false};
  return o;
}

void expect_equal(const ResolvedOptions& a, const ResolvedOptions& b) {
  EXPECT_EQ(a.photos.string(), b.photos.string());
  EXPECT_EQ(a.out.string(), b.out.string());
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.model_sha256, b.model_sha256);
  EXPECT_EQ(a.recipe, b.recipe);
  EXPECT_EQ(a.epochs, b.epochs);
  EXPECT_EQ(a.batch_size, b.batch_size);
  EXPECT_EQ(a.lr, b.lr);
  EXPECT_EQ(a.head_lr_multiplier, b.head_lr_multiplier);
  EXPECT_EQ(a.warmup_epochs, b.warmup_epochs);
  EXPECT_EQ(a.optimizer, b.optimizer);
  EXPECT_EQ(a.head_init, b.head_init);
  EXPECT_EQ(a.head_class, b.head_class);
  EXPECT_EQ(a.momentum, b.momentum);
  EXPECT_EQ(a.weight_decay, b.weight_decay);
  EXPECT_EQ(a.label_smoothing, b.label_smoothing);
  EXPECT_EQ(a.processes, b.processes);
  EXPECT_EQ(a.sync_batch_norm, b.sync_batch_norm);
  EXPECT_EQ(a.imbalance, b.imbalance);
  EXPECT_EQ(a.batch_norm, b.batch_norm);
  EXPECT_EQ(a.freeze_until, b.freeze_until);
  EXPECT_EQ(a.refit, b.refit);
  EXPECT_EQ(a.views, b.views);
  EXPECT_EQ(a.accumulate, b.accumulate);
  EXPECT_EQ(a.clip_norm, b.clip_norm);
  EXPECT_EQ(a.precision, b.precision);
  EXPECT_EQ(a.device, b.device);
  EXPECT_EQ(a.threads, b.threads);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.validation_fraction, b.validation_fraction);
  EXPECT_EQ(a.max_unreadable_share, b.max_unreadable_share);
}

void expect_equal_pixels(const ResolvedOptions& a, const ResolvedOptions& b) {
  EXPECT_EQ(a.preprocessing.resize_mode, b.preprocessing.resize_mode);
  EXPECT_EQ(a.preprocessing.resize_size, b.preprocessing.resize_size);
  EXPECT_EQ(a.preprocessing.crop_size, b.preprocessing.crop_size);
  EXPECT_EQ(a.preprocessing.interpolation, b.preprocessing.interpolation);
  EXPECT_EQ(a.preprocessing.mean, b.preprocessing.mean);
  EXPECT_EQ(a.preprocessing.std, b.preprocessing.std);
  EXPECT_EQ(a.preprocessing.decode.apply_exif_orientation, b.preprocessing.decode.apply_exif_orientation);
  EXPECT_EQ(a.preprocessing.decode.alpha, b.preprocessing.decode.alpha);
  EXPECT_EQ(a.preprocessing.decode.clip_16_bit_grey, b.preprocessing.decode.clip_16_bit_grey);
  EXPECT_EQ(a.preprocessing.decode.max_pixels, b.preprocessing.decode.max_pixels);
  EXPECT_EQ(a.augmentation.min_area, b.augmentation.min_area);
  EXPECT_EQ(a.augmentation.max_area, b.augmentation.max_area);
  EXPECT_EQ(a.augmentation.min_aspect, b.augmentation.min_aspect);
  EXPECT_EQ(a.augmentation.max_aspect, b.augmentation.max_aspect);
  EXPECT_EQ(a.augmentation.flip_probability, b.augmentation.flip_probability);
  EXPECT_EQ(a.augmentation.fast_decode, b.augmentation.fast_decode);
}

std::string message_of(const std::function<void()>& act, ErrorCategory expected) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), expected) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(OptionsJson, ReadsBackEqualInEveryField) {
  for (const ResolvedOptions& options : {ResolvedOptions{}, test::fake_options({}), odd_options()}) {
    const ResolvedOptions back = options_from_json(options_to_json(options));
    expect_equal(back, options);
    expect_equal_pixels(back, options);
  }
}

TEST(OptionsJson, IsFlatAndNamedAsTheCommandLine) {
  const auto json = ordered_json::parse(options_to_json(odd_options()));
  for (const auto& item : json.items()) {
    EXPECT_TRUE(item.key() == "photos" || item.key() == "head_class" || !item.value().is_object()) << item.key();
  }
  EXPECT_EQ(json["recipe"], "head");
  EXPECT_EQ(json["batch_norm"], "frozen-statistics");
  EXPECT_EQ(json["imbalance"], "balanced-sampler");
  EXPECT_EQ(json["resize"], "squash");
  EXPECT_EQ(json["mean"].dump(), "[0.1,0.2,0.3]");
  EXPECT_EQ(json["drop_alpha"], true);
  EXPECT_EQ(json["head_init"], "class");
  EXPECT_EQ(json["head_class"].dump(), R"({"a=b":"934","hot dogs":"hotdog, hot dog"})");
  EXPECT_EQ(json["ignore_exif"], true);
  EXPECT_EQ(json["exact_augmentation"], true);
}

TEST(OptionsJson, NamesTheFieldThatIsMissingOrOutOfRange) {
  const auto good = ordered_json::parse(options_to_json(test::fake_options({})));
  for (const auto& item : good.items()) {
    ordered_json without = good;
    without.erase(item.key());
    const std::string message = message_of([&] { options_from_json(without.dump()); }, ErrorCategory::kModel);
    EXPECT_NE(message.find(item.key()), std::string::npos) << message;
  }
  const std::vector<std::pair<const char*, ordered_json>> wrong = {
      {"epochs", -1},
      {"epochs", 1.5},
      {"epochs", "5"},
      {"epochs", 1LL << 40},
      {"lr", -0.1},
      {"lr", "fast"},
      {"lr", nullptr},
      {"momentum", 1.5},
      {"recipe", "stew"},
      {"recipe", 3},
      {"head_class", 5},
      {"head_class", {{"hotdog", 934}}},
      {"seed", -1},
      {"seed", 1.5},
      {"mean", {0.1, 0.2}},
      {"mean", "0,0,0"},
      {"std", {0.1, 0.2, nullptr}},
      {"crop_size", 0},
      {"drop_alpha", 1},
      {"precision", "float16"},
      {"photos", 5},
      {"min_area", 2},
      {"photos", {{"x", 1}}},
      {"max_pixels", 1e30},
      {"accumulate", 0},
      {"photos", {{"text", "x"}, {"bytes_hex", "0"}}},
      {"photos", {{"text", "x"}, {"bytes_hex", "zz"}}},
  };
  for (const auto& [name, value] : wrong) {
    ordered_json bad = good;
    bad[name] = value;
    const std::string message = message_of([&] { options_from_json(bad.dump()); }, ErrorCategory::kModel);
    EXPECT_NE(message.find(name), std::string::npos) << value.dump() << ": " << message;
  }
  for (const char* text : {"", "{", "[]", "5", "null", "\xFF"}) message_of([&] { options_from_json(text); }, ErrorCategory::kModel);
}

TEST(DifferingOptions, ComparesValuesNotTheirSpelling) {
  ResolvedOptions run = test::fake_options({});
  run.lr = 1e-3;
  run.batch_norm = BatchNormPolicy::kFrozenStatistics;
  run.preprocessing.mean = {0.485F, 0.456F, 0.406F};
  const std::map<std::string, std::string> equal = {
      {"epochs", "5"},
      {"lr", "0.001"},
      {"batch_norm", "frozen-statistics"},
      {"seed", "42"},
      {"weight_decay", "1e-04"},
      {"mean", "0.4850,0.456,4.06e-1"},
      {"precision", "auto"},
      {"device", "auto"},
      {"photos", "photos/./my animals/"},
      {"recipe", "FINETUNE"},
      {"drop_alpha", "false"},
      {"clip_norm", "0"},
      {"max_aspect", "1.3333333333333333"},
  };
  EXPECT_EQ(differing_options(run, equal), std::vector<std::string>{});
  run.lr = 0.001;
  EXPECT_TRUE(differing_options(run, {{"lr", "1e-3"}}).empty());
  run.threads = resolve_threads(0);
  EXPECT_TRUE(differing_options(run, {{"threads", "0"}}).empty());
}

TEST(DifferingOptions, NamesTheOptionWithBothValues) {
  const ResolvedOptions run = test::fake_options({});
  EXPECT_EQ(differing_options(run, {{"epochs", "10"}}), std::vector<std::string>{"epochs (run: 5, asked: 10)"});
  EXPECT_EQ(differing_options(run, {{"recipe", "head"}}), std::vector<std::string>{"recipe (run: finetune, asked: head)"});
  EXPECT_EQ(differing_options(run, {{"lr", "fast"}}), std::vector<std::string>{"lr (run: 0.005, asked: fast)"});
  EXPECT_EQ(differing_options(run, {{"lr", "0.0050001"}, {"seed", "43"}, {"drop_alpha", "true"}, {"precision", "float32"}}).size(), 4U);
  const std::string message = message_of([&] { differing_options(run, {{"epoch", "1"}}); }, ErrorCategory::kUsage);
  EXPECT_NE(message.find("'epochs'"), std::string::npos) << message;
}

void expect_equal(const Metrics& a, const Metrics& b) {
  EXPECT_EQ(a.photos, b.photos);
  EXPECT_EQ(a.top1, b.top1);
  EXPECT_EQ(a.top5, b.top5);
  EXPECT_EQ(a.top1_interval.low, b.top1_interval.low);
  EXPECT_EQ(a.top1_interval.high, b.top1_interval.high);
  EXPECT_EQ(a.mean_loss, b.mean_loss);
  EXPECT_EQ(a.confusion, b.confusion);
  ASSERT_EQ(a.per_class.size(), b.per_class.size());
  for (std::size_t c = 0; c < a.per_class.size(); ++c) {
    EXPECT_EQ(a.per_class[c].precision, b.per_class[c].precision);
    EXPECT_EQ(a.per_class[c].recall, b.per_class[c].recall);
    EXPECT_EQ(a.per_class[c].f1, b.per_class[c].f1);
    EXPECT_EQ(a.per_class[c].support, b.per_class[c].support);
  }
  EXPECT_EQ(a.macro.f1, b.macro.f1);
  EXPECT_EQ(a.macro.support, b.macro.support);
}

TEST(RunJson, ReadsBackEqualToTheLastBit) {
  TrainResult result = test::fake_result({.classes = 3, .epochs = 4});
  result.options = odd_options();
  result.photo_share = 0.3;
  result.refitted = true;
  result.classes[1] = "\xC3\x28 no UTF-8";
  result.head_sources = {{.row = 934, .name = "hotdog"}, {}, {.row = 7, .name = ""}};
  result.head_trials = {{.penalty = 0.1, .train_loss = 0.5, .validation_loss = 0.6, .validation_top1 = 0.75},
                        {.penalty = 1e-5, .train_loss = 0.1, .validation_loss = 0.25, .validation_top1 = 1, .chosen = true}};
  result.resize_trials = {{.resize_size = 256, .loss = 0.5, .top1 = 0.8, .chosen = true},
                          {.mode = ResizeMode::kSquash, .resize_size = 224, .loss = 1.0 / 3, .top1 = 0.9}};
  result.start = EpochRecord{.epoch = 0, .train_loss = 0.1, .validation_loss = 0.3, .validation_top1 = 2.0 / 3, .best = true};
  result.unreadable.push_back({"caf\xE9/photo.jpg", "line\nbreak"});
  result.validation.unreadable.push_back({"x", "y"});
  result.model_file = "runs/\xFE/model.safetensors";
  const TrainResult back = run_from_json(run_to_json(result));
  expect_equal(back.options, result.options);
  EXPECT_EQ(back.classes, result.classes);
  ASSERT_EQ(back.head_sources.size(), 3U);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(back.head_sources[c].row, result.head_sources[c].row);
    EXPECT_EQ(back.head_sources[c].name, result.head_sources[c].name);
  }
  ASSERT_EQ(back.head_trials.size(), 2U);
  EXPECT_EQ(back.head_trials[1].penalty, 1e-5);
  EXPECT_EQ(back.head_trials[1].validation_loss, 0.25);
  EXPECT_EQ(back.head_trials[0].validation_top1, 0.75);
  EXPECT_TRUE(back.head_trials[1].chosen && !back.head_trials[0].chosen);
  ASSERT_EQ(back.resize_trials.size(), 2U);
  EXPECT_EQ(back.resize_trials[1].mode, ResizeMode::kSquash);
  EXPECT_EQ(back.resize_trials[1].loss, 1.0 / 3);
  EXPECT_EQ(back.resize_trials[0].top1, 0.8);
  EXPECT_TRUE(back.resize_trials[0].chosen && !back.resize_trials[1].chosen);
  ASSERT_TRUE(back.start);
  EXPECT_EQ(back.start->epoch, 0);
  EXPECT_EQ(back.start->validation_top1, 2.0 / 3);
  EXPECT_EQ(back.best_epoch, result.best_epoch);
  EXPECT_EQ(back.seconds, result.seconds);
  EXPECT_EQ(back.photo_share, result.photo_share);
  EXPECT_TRUE(back.refitted);
  EXPECT_EQ(back.data_fingerprint, result.data_fingerprint);
  EXPECT_EQ(back.model_file.string(), result.model_file.string());
  EXPECT_EQ(back.report_file, result.report_file);
  ASSERT_EQ(back.history.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(back.history[i].train_loss, result.history[i].train_loss);
    EXPECT_EQ(back.history[i].validation_top1, result.history[i].validation_top1);
    EXPECT_EQ(back.history[i].lr, result.history[i].lr);
    EXPECT_EQ(back.history[i].loader_wait_share, result.history[i].loader_wait_share);
    EXPECT_EQ(back.history[i].best, result.history[i].best);
  }
  expect_equal(back.validation.metrics, result.validation.metrics);
  ASSERT_TRUE(back.test);
  expect_equal(back.test->metrics, result.test->metrics);
  EXPECT_TRUE(back.validation.photos.empty());
  ASSERT_EQ(back.unreadable.size(), 3U);
  EXPECT_EQ(back.unreadable[2].path, "caf\xE9/photo.jpg");
  EXPECT_EQ(back.unreadable[2].reason, "line\nbreak");
  EXPECT_EQ(back.validation.unreadable.size(), 1U);
  EXPECT_EQ(back.problems.size(), 1U);
  EXPECT_EQ(run_to_json(back), run_to_json(result));
}

TEST(RunJson, KeepsNanAndInfinityAndARunUnderWay) {
  TrainResult result;
  result.classes = {"a", "b"};
  result.history.push_back({.epoch = 1, .train_loss = kNan, .train_top1 = 0, .validation_loss = kInfinity, .validation_top1 = -kInfinity});
  const std::string json = run_to_json(result);
  EXPECT_TRUE(ordered_json::accept(json));
  const TrainResult back = run_from_json(json);
  EXPECT_TRUE(std::isnan(back.history[0].train_loss));
  EXPECT_EQ(back.history[0].validation_loss, kInfinity);
  EXPECT_EQ(back.history[0].validation_top1, -kInfinity);
  EXPECT_FALSE(back.test);
  EXPECT_EQ(back.validation.metrics.photos, 0);
  EXPECT_TRUE(back.validation.metrics.per_class.empty());
}

TEST(RunJson, NamesTheVersionsItWasWrittenWith) {
  const auto json = ordered_json::parse(run_to_json(test::fake_result({})));
  EXPECT_EQ(json["format"], 8);
  EXPECT_FALSE(json["headstart_version"].get<std::string>().empty());
  EXPECT_FALSE(json["libtorch_version"].get<std::string>().empty());
}

TEST(RunJson, RefusesDamageNamingTheField) {
  const auto good = ordered_json::parse(run_to_json(test::fake_result({})));
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"/format", "2"},
      {"/format", "\"4\""},
      {"/options", "5"},
      {"/classes", "{}"},
      {"/classes/0", "7"},
      {"/photo_share", "1.5"},
      {"/photo_share", "-0.1"},
      {"/best_epoch", "99"},
      {"/best_epoch", "-1"},
      {"/history/0/epoch", "0"},
      {"/history/0/train_loss", "\"much\""},
      {"/history/0/best", "1"},
      {"/history", "null"},
      {"/start", "{}"},
      {"/head_trials", "7"},
      {"/head_trials", R"([{"penalty": 1, "train_loss": 1, "validation_loss": 1, "validation_top1": 1, "chosen": 1}])"},
      {"/head_sources", "7"},
      {"/head_sources", R"([{"class": "cat", "row": 1, "name": "tabby"}])"},
      {"/head_sources/0/row", "-2"},
      {"/validation/metrics/photos", "-5"},
      {"/validation/metrics/top1_interval", "[0.5]"},
      {"/validation/metrics/per_class", "[{}, {}, {}]"},
      {"/validation/metrics/confusion", "[[1, 2]]"},
      {"/validation/metrics/confusion/0", "[1]"},
      {"/validation/metrics/confusion/0/0", "-1"},
      {"/validation/unreadable", "[5]"},
      {"/test", "[]"},
      {"/problems/0/path", "null"},
  };
  for (const auto& [pointer, value] : wrong) {
    ordered_json bad = good;
    bad[ordered_json::json_pointer(pointer)] = ordered_json::parse(value);
    message_of([&] { run_from_json(bad.dump()); }, ErrorCategory::kModel);
    if (testing::Test::HasFailure()) FAIL() << pointer << " = " << value;
  }
  for (const auto& item : good.items()) {
    if (item.key().find("version") != std::string::npos) continue;
    ordered_json without = good;
    without.erase(item.key());
    EXPECT_NE(message_of([&] { run_from_json(without.dump()); }, ErrorCategory::kModel).find(item.key()), std::string::npos);
  }
}

TEST(LogCsv, HasEveryFieldWithAllItsDigits) {
  std::vector<EpochRecord> history = {{.epoch = 1, .train_loss = 0.1 + 0.2, .train_top1 = 0.5, .validation_loss = kNan, .best = true}};
  EXPECT_EQ(
      log_to_csv(history, {}),
      "epoch,train_loss,train_top1,validation_loss,validation_top1,lr,seconds,validation_seconds,photos_per_second,loader_wait_share,best\n"
      "1,0.30000000000000004,0.5,nan,0,0,0,0,0,0,1\n");
}

TEST(LogCsv, HasThePointsOfTheCurveBetweenTheEpochs) {
  const std::vector<EpochRecord> history = {{.epoch = 1}, {.epoch = 2}};
  const std::vector<TrainingPoint> curve = {{0.5, 3, 0.25}, {1, 2, 0.5}, {1.5, 1.5, 0.625}, {2, 1, 0.75}, {2.5, 0.5, 1}};
  const std::string csv = log_to_csv(history, curve);
  EXPECT_EQ(csv.substr(csv.find('\n') + 1),
            "0.5,3,0.25,,,,,,,,\n1,0,0,0,0,0,0,0,0,0,0\n1.5,1.5,0.625,,,,,,,,\n2,0,0,0,0,0,0,0,0,0,0\n2.5,0.5,1,,,,,,,,\n");
}

}  // namespace
}  // namespace headstart
