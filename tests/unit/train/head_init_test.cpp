// Output layers that start from elsewhere: which source class stands for which, what is copied, what is fitted.
#include "train/head_init.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>

#include "headstart/models.h"
#include "support/temp_dir.h"
#include "support/tensor_compare.h"
#include "tiny_run.h"
#include "train/logistic.h"
#include "unit/model/generated.h"

namespace headstart {
namespace {

using test::message_of;

using Names = std::vector<std::vector<std::string>>;

Source source_with(Names classes) {
  Source source;
  source.model = "weights.pth";
  source.architecture = &find_architecture("resnet18");
  source.classes = std::move(classes);
  return source;
}

std::vector<int> rows_of(const std::vector<HeadSource>& sources) {
  std::vector<int> rows;
  for (const HeadSource& source : sources) rows.push_back(source.row);
  return rows;
}

void expect_says(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
}

TEST(MatchClasses, TakesTheClassOfTheSameNameOrTheOneThatIsNamed) {
  const Source imagenet = source_with(imagenet_classes());
  const std::vector<HeadSource> by_folder = match_classes({"hot-dog", "not-hotdog", "Pizza_pie"}, imagenet, {});
  EXPECT_EQ(rows_of(by_folder), (std::vector<int>{934, -1, 963}));
  EXPECT_EQ(by_folder[0].name, "hotdog");
  EXPECT_EQ(by_folder[2].name, "pizza");
  EXPECT_EQ(rows_of(match_classes({"a", "b", "c", "d"}, imagenet, {{"a", "Red Hot"}, {"b", "388"}, {"d", "999"}})),
            (std::vector<int>{934, 388, -1, 999}));
  EXPECT_EQ(rows_of(match_classes({"hotdog", "pizza"}, imagenet, {{"pizza", ""}})), (std::vector<int>{934, -1}));
}

TEST(MatchClasses, ANamedClassIsFoundBeforeARowOfThatNumber) {
  EXPECT_EQ(rows_of(match_classes({"x"}, source_with({{"1"}, {"0"}, {"7"}}), {{"x", "0"}})), std::vector<int>{1});
  EXPECT_EQ(rows_of(match_classes({"x"}, source_with({{"1"}, {"0"}, {"7"}}), {{"x", "2"}})), std::vector<int>{2});
}

TEST(MatchClasses, SaysWhatIsNotThereOrNotClear) {
  const Source imagenet = source_with(imagenet_classes());
  const std::vector<std::string> photos = {"hotdog", "crane"};
  const auto refused = [&](const std::map<std::string, std::string>& asked) {
    return message_of(ErrorCategory::kUsage, [&] { match_classes(photos, imagenet, asked); });
  };
  expect_says(refused({}), {"'crane'", "134", "517", "head_class crane="});
  expect_says(refused({{"hotdgo", "hotdog"}}), {"hotdgo", "did you mean 'hotdog'", "crane"});
  expect_says(refused({{"crane", "hotdgo"}}), {"head_class crane=hotdgo", "did you mean 'hotdog'", "0 to 999"});
  expect_says(refused({{"crane", "cat"}}), {"it has", "tabby cat", "and 2 more"});
  expect_says(refused({{"crane", "1000"}}), {"crane=1000", "0 to 999"});
  expect_says(refused({{"crane", "-1"}}), {"crane=-1"});
  expect_says(message_of(ErrorCategory::kUsage,
                         [&] {
                           match_classes({"hotdgo", "b"}, imagenet, {});
                         }),
              {"hotdgo", "weights.pth", "did you mean 'hotdog'", "head_init probe"});
}

TEST(MatchClasses, OfASourceWithoutNamesTheRowsCanBeNamed) {
  const Source nameless = source_with(Names(10));
  EXPECT_EQ(rows_of(match_classes({"a", "b"}, nameless, {{"b", "9"}})), (std::vector<int>{-1, 9}));
  expect_says(message_of(ErrorCategory::kModel, [&] { match_classes({"a", "b"}, nameless, {}); }), {"10 output rows", "probe"});
  expect_says(message_of(ErrorCategory::kUsage, [&] { match_classes({"a", "b"}, nameless, {{"a", "hotdog"}}); }), {"a=hotdog", "0 to 9"});
  expect_says(message_of(ErrorCategory::kModel, [&] { match_classes({"a", "b"}, source_with({}), {}); }), {"fc.weight", "probe"});
}

TEST(MatchClasses, TheProbeCanDoWithout) {
  const Source imagenet = source_with(imagenet_classes());
  const auto match = [](const std::vector<std::string>& classes, const Source& source, const std::map<std::string, std::string>& asked) {
    return rows_of(match_classes(classes, source, asked, HeadInit::kProbe));
  };
  EXPECT_EQ(match({"hotdog", "crane", "x"}, imagenet, {}), (std::vector<int>{934, -1, -1}));
  EXPECT_EQ(match({"hotdog", "crane"}, imagenet, {{"hotdog", ""}, {"crane", "134"}}), (std::vector<int>{-1, 134}));
  EXPECT_TRUE(match({"crane", "x"}, imagenet, {}).empty());
  EXPECT_TRUE(match({"hotdog", "x"}, imagenet, {{"hotdog", ""}}).empty());
  EXPECT_TRUE(match({"hotdog", "x"}, source_with(Names(1000)), {}).empty());
  EXPECT_TRUE(match({"hotdog", "x"}, source_with({}), {}).empty());
  // What is named has to be there all the same.
  message_of(ErrorCategory::kUsage, [&] { match({"hotdog", "x"}, imagenet, {{"x", "hotdgo"}}); });
  message_of(ErrorCategory::kUsage, [&] { match({"hotdog", "x"}, imagenet, {{"y", "934"}}); });
  message_of(ErrorCategory::kModel, [&] { match({"hotdog", "x"}, source_with({}), {{"x", "934"}}); });
}

TEST(MatchClasses, TheLogNamesRowsAndWhatTheRestGets) {
  const std::vector<HeadSource> sources = {{.row = 934, .name = "hotdog"}, {}, {.row = 934, .name = "hotdog"}, {.row = 3, .name = ""}};
  EXPECT_EQ(
      matches_text({"a", "b", "c", "d"}, sources, 1000),
      "output layer: a from row 934 (hotdog), c from row 934 (hotdog) and d from row 3; no source class for b: the mean of the 998 other "
      "rows, with a bias fitted to the training photos");
  EXPECT_EQ(matches_text({"d"}, {{.row = 3, .name = "x"}}, 10), "output layer: d from row 3 (x)");
  EXPECT_EQ(matches_text({"d", "e"}, {{.row = 0, .name = ""}, {}}, 1),
            "output layer: d from row 0; no source class for e: zero, with a bias fitted to the training photos");
}

// A network whose output layer is easy to tell row by row.
StateDict source_state(std::int64_t rows) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, rows, /*seed=*/5);
  const c10::NoGradGuard no_gradients;
  network->head_tensor(ParameterRole::kBias).copy_(at::arange(rows));
  return network->state();
}

TEST(CopyHeadRows, AreBitEqualAndTheRestIsTheMeanOfTheOtherRows) {
  Source source = source_with(Names(5));
  source.architecture = &find_architecture(test::kTinyArchitecture);
  source.weights = source_state(5);
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 3, /*seed=*/6);
  copy_head_rows(*network, source, {{.row = 4}, {}, {.row = 1}});
  const at::Tensor rows = to_engine(*source.weights.find("_fc.weight"));
  const at::Tensor &weight = network->head_tensor(ParameterRole::kWeight), &bias = network->head_tensor(ParameterRole::kBias);
  EXPECT_TRUE(weight[0].equal(rows[4]) && weight[2].equal(rows[1]));
  EXPECT_TRUE(weight[1].equal(rows.index_select(0, at::tensor({0, 2, 3}, at::kLong)).mean(0)));
  EXPECT_TRUE(bias.equal(at::tensor({4.0F, 5.0F / 3, 1.0F})));
}

TEST(CopyHeadRows, WhereEveryRowIsTakenTheRestIsZeroAndAMisfitIsRefused) {
  Source source = source_with(Names(2));
  source.architecture = &find_architecture(test::kTinyArchitecture);
  source.weights = source_state(2);
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 3, /*seed=*/6);
  copy_head_rows(*network, source, {{.row = 0}, {.row = 1}, {}});
  EXPECT_EQ(network->head_tensor(ParameterRole::kWeight)[2].abs().max().item<float>(), 0);
  source.classes.resize(7);
  expect_says(message_of(ErrorCategory::kModel,
                         [&] {
                           copy_head_rows(*network, source, {{.row = 6}, {}, {}});
                         }),
              {"_fc.weight", "[2, 1280]"});
  source.weights.tensors.pop_back();  // the bias
  source.classes.resize(2);
  expect_says(message_of(ErrorCategory::kModel, [&] { copy_head_rows(*network, source, {{.row = 1}, {}, {}}); }), {"_fc.bias"});
}

FeatureTable some_features(const Network& network, const std::string& name = "features", std::int64_t photos = 12) {
  FeatureTable table;
  table.rows = test::generate(name, photos * network.feature_count(), 0, 0.05).view({photos, network.feature_count()});
  for (std::int64_t i = 0; i < photos; ++i) {
    table.labels.push_back(i % 2);
    table.rows[i][i % 2] += 3;
  }
  return table;
}

TEST(FitHead, TheProbeNamesItsOwnPhotosAndTheBiasAloneLeavesTheRows) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const c10::NoGradGuard no_gradients;
  const FeatureTable table = some_features(*network);
  const at::Tensor weight = network->head_tensor(ParameterRole::kWeight).clone(), bias = network->head_tensor(ParameterRole::kBias).clone();
  fit_head_biases(*network, {.train = table}, {{.row = 3}, {}});
  EXPECT_TRUE(network->head_tensor(ParameterRole::kWeight).equal(weight));
  EXPECT_EQ(network->head_tensor(ParameterRole::kBias)[0].item<float>(), bias[0].item<float>());
  EXPECT_NE(network->head_tensor(ParameterRole::kBias)[1].item<float>(), bias[1].item<float>());
  EXPECT_NEAR(network->head(table.rows).softmax(1).sum(0)[1].item<double>(), 6, 1e-2);  // as many as there are
  fit_head(*network, {.train = table});
  EXPECT_TRUE(network->head(table.rows).argmax(1).equal(at::tensor(table.labels, at::kLong)));
}

// A validation photo that is labelled wrongly makes certainty dear.
TEST(FitHead, TakesThePenaltyThatTheValidationPhotosLike) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const FeatureTable train = some_features(*network, "train");
  FeatureTable validation = some_features(*network, "validation", kFewestToJudge);
  validation.labels[0] = 1 - validation.labels[0];
  const std::vector<HeadTrial> trials = fit_head(*network, {.train = train, .validation = &validation});
  const auto best = std::min_element(trials.begin(), trials.end(),
                                     [](const HeadTrial& a, const HeadTrial& b) { return a.validation_loss < b.validation_loss; });
  EXPECT_TRUE(best->chosen);
  EXPECT_EQ(std::count_if(trials.begin(), trials.end(), [](const HeadTrial& trial) { return trial.chosen; }), 1);
  EXPECT_EQ(trials.end() - best, 3);  // two more were tried
  for (std::size_t i = 1; i < trials.size(); ++i) {
    EXPECT_LT(trials[i].penalty, trials[i - 1].penalty);
    EXPECT_LT(trials[i].train_loss, trials[i - 1].train_loss);
  }
  const LabelledFeatures data{.features = train.rows, .labels = at::tensor(train.labels, at::kLong), .classes = 2};
  const LogisticFit alone = fit_logistic(data, best->penalty * feature_variance(train.rows));
  // The head is float32.
  EXPECT_TRUE(
      test::tensors_close(network->head_tensor(ParameterRole::kWeight), alone.weight.to(at::kFloat), {.relative = 1e-5, .absolute = 1e-6}));
  // Photos that are fitted to and chosen by like the weakest penalty best.
  const FeatureTable many = some_features(*network, "many", kFewestToJudge);
  EXPECT_TRUE(fit_head(*network, {.train = many, .validation = &many}).back().chosen);
}

TEST(FitHead, TooFewPhotosChooseNoPenalty) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const FeatureTable train = some_features(*network, "train"), few = some_features(*network, "validation", kFewestToJudge - 1);
  const std::vector<HeadTrial> unseen = fit_head(*network, {.train = train}),
                               seen = fit_head(*network, {.train = train, .validation = &few});
  ASSERT_EQ(unseen.size(), 1U);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(unseen.front().chosen && seen.front().chosen);
  EXPECT_EQ(seen.front().penalty, 1e-3);
  EXPECT_EQ(seen.front().train_loss, unseen.front().train_loss);
  EXPECT_EQ(unseen.front().validation_loss, 0);
  EXPECT_GT(seen.front().validation_loss, 0);
  EXPECT_EQ(fit_head(*network, {.train = some_features(*network, "more", 2000)}).front().penalty, 3e-4);
}

TEST(FitHead, RefusesFeaturesThatItCannotUse) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  FeatureTable table = some_features(*network);
  table.rows[3][5] = std::numeric_limits<float>::quiet_NaN();
  expect_says(message_of(ErrorCategory::kTraining, [&] { fit_head(*network, {.train = table}); }), {"not finite"});
  const FeatureTable none{.rows = at::empty({0, network->feature_count()})};
  message_of(ErrorCategory::kData, [&] { fit_head(*network, {.train = none}); });
}

// Photos whose class is a matter of one direction among all the features, and noise in the others.
FeatureTable split_by(const at::Tensor& row, const std::string& name, std::int64_t photos) {
  FeatureTable table;
  table.rows = test::generate(name, photos * row.size(0), -1, 1).view({photos, row.size(0)});
  for (std::int64_t i = 0; i < photos; ++i) {
    table.labels.push_back(i % 2);
    table.rows[i] += (static_cast<double>(2 * (i % 2) - 1) - table.rows[i].dot(row) / row.dot(row)) * row;
  }
  return table;
}

double share_right(const Network& network, const FeatureTable& photos) {
  return network.head(photos.rows).argmax(1).eq(at::tensor(photos.labels, at::kLong)).to(at::kDouble).mean().item<double>();
}

TEST(FitHead, FewPhotosFindTheDirectionThatTheSourceKnows) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const c10::NoGradGuard no_gradients;
  const at::Tensor row = test::generate("row", network->feature_count(), -0.05, 0.05);
  const FeatureTable few = split_by(row, "few", 6), others = split_by(row, "others", 100);
  fit_head(*network, {.train = few});
  const double alone = share_right(*network, others);
  fit_head(*network, {.train = few, .known_rows = {.sources = {}, .weights = row.unsqueeze(0)}});
  EXPECT_LT(alone, 0.8);
  EXPECT_EQ(share_right(*network, others), 1);
  // The row of a class that is not among the photos is one more direction, and does no harm; nor does one that they do not vary in.
  fit_head(*network, {.train = few,
                      .known_rows = {.sources = {},
                                     .weights = at::stack({row, test::generate("other", row.size(0), -0.1, 0.1), at::zeros_like(row)})}});
  EXPECT_GT(share_right(*network, others), 0.95);
}

TEST(FitHead, TheKnownColumnsAreScaledToAllFeaturesAndComeBackAsWeights) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const c10::NoGradGuard no_gradients;
  const FeatureTable train = some_features(*network, "train");
  const at::Tensor rows = test::generate("rows", 2 * network->feature_count(), -0.1, 0.1).view({2, network->feature_count()});
  const std::vector<HeadTrial> trials = fit_head(*network, {.train = train, .known_rows = {.sources = {}, .weights = rows}});
  const at::Tensor features = train.rows.to(at::kDouble), answers = features.matmul(rows.to(at::kDouble).t());
  const at::Tensor columns = answers / answers.std(0, /*unbiased=*/false) * std::sqrt(feature_variance(features));
  const at::Tensor wide = at::cat({features, columns}, 1);
  const LogisticFit fit = fit_logistic({.features = wide, .labels = at::tensor(train.labels, at::kLong), .classes = 2},
                                       trials.front().penalty * feature_variance(features));
  // The head's weights and its products are float32: 1280 of them are summed.
  EXPECT_TRUE(test::tensors_close(network->head(train.rows), at::addmm(fit.bias, wide, fit.weight.t()).to(at::kFloat),
                                  {.relative = 1e-4, .absolute = 1e-4}));
}

TEST(HelpfulRows, AreThoseThatTheClassesOwnPhotosScoreHigherOn) {
  const at::Tensor row = test::generate("row", 32, -1, 1);
  const FeatureTable photos = split_by(row, "photos", 10);  // those of class 1 score higher
  const KnownRows known{.sources = {{.row = 5, .name = "wrong"}, {.row = 7, .name = "right"}, {}}, .weights = at::stack({row, row})};
  const KnownRows helpful = helpful_rows(known, photos);
  EXPECT_EQ(rows_of(helpful.sources), (std::vector<int>{-1, 7, -1}));
  EXPECT_TRUE(helpful.weights.equal(row.unsqueeze(0)));
  EXPECT_TRUE(helpful_rows({}, photos).sources.empty());
  // Chance alone, two photos of each, and as many photos as need no help.
  EXPECT_TRUE(helpful_rows({.sources = {{}, {.row = 7}}, .weights = at::zeros({1, 32})}, photos).sources.empty());
  const KnownRows right{.sources = {{}, {.row = 7}}, .weights = row.unsqueeze(0)};
  EXPECT_TRUE(helpful_rows(right, split_by(row, "few", 4)).sources.empty());
  EXPECT_FALSE(helpful_rows(right, split_by(row, "enough", 6)).sources.empty());
  EXPECT_FALSE(helpful_rows(right, split_by(row, "many", 800)).sources.empty());
  EXPECT_TRUE(helpful_rows(right, split_by(row, "too many", 802)).sources.empty());
}

TEST(KnownRows, AreTheSourcesWeightsByClass) {
  Source source = source_with(Names(5));
  source.architecture = &find_architecture(test::kTinyArchitecture);
  source.weights = source_state(5);
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 3, /*seed=*/6);
  const at::Tensor rows = to_engine(*source.weights.find("_fc.weight"));
  EXPECT_TRUE(known_rows(*network, source, {{.row = 4}, {}, {.row = 1}}).weights.equal(at::stack({rows[4], rows[1]})));
  EXPECT_FALSE(known_rows(*network, source, {{}, {}, {}}).weights.defined());
}

FeatureTable joined(const FeatureTable& a, const FeatureTable& b) {
  FeatureTable both{.rows = at::cat({a.rows, b.rows}), .labels = a.labels, .sample_of = {}, .row_of = {}, .unreadable = {}};
  both.labels.insert(both.labels.end(), b.labels.begin(), b.labels.end());
  return both;
}

TEST(RefitGain, KeepsToTheDirectionThatTheSourceKnows) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const c10::NoGradGuard no_gradients;
  const at::Tensor row = test::generate("row", network->feature_count(), -0.05, 0.05);
  const FeatureTable few = split_by(row, "few", 6), more = split_by(row, "more", 6), others = split_by(row, "others", 100);
  const HeadFitPhotos photos{.train = few, .validation = &more, .known_rows = {.sources = {}, .weights = row.unsqueeze(0)}};
  const std::vector<HeadTrial> trials = fit_head(*network, photos);
  const LogisticScore known = cross_validate_head(*network, photos, trials);
  EXPECT_EQ(known.top1, 1);
  EXPECT_LT(known.loss, cross_validate_head(*network, {.train = few, .validation = &more}, trials).loss);
  StateDict weights = network->state();
  add_refit_gain(weights, refit_gain(*network, photos, trials));
  const at::Tensor before = network->head_tensor(ParameterRole::kWeight).clone();
  network->load(weights, /*with_head=*/true);
  const at::Tensor change = (network->head_tensor(ParameterRole::kWeight) - before)[1];
  EXPECT_GT(change.abs().max().item<double>(), 0);
  EXPECT_EQ(share_right(*network, others), 1);
}

TEST(RefitGain, IsWhatAFitToAllPhotosHasMore) {
  const std::unique_ptr<Network> network = make_network(test::kTinyArchitecture, 2, /*seed=*/6);
  const c10::NoGradGuard no_gradients;
  const FeatureTable train = some_features(*network, "train");
  FeatureTable validation = some_features(*network, "validation");
  validation.labels[0] = 1 - validation.labels[0];
  const HeadFitPhotos photos{.train = train, .validation = &validation};
  const std::vector<HeadTrial> trials = fit_head(*network, photos);
  const StateDict gain = refit_gain(*network, photos, trials);
  ASSERT_EQ(gain.tensors.size(), 2U);
  StateDict weights = network->state();
  const StateDict before = weights;
  add_refit_gain(weights, gain);
  EXPECT_EQ(test::differing_tensors(before, weights), (std::vector<std::string>{"_fc.weight", "_fc.bias"}));
  const FeatureTable both = joined(train, validation);
  const LabelledFeatures data{.features = both.rows, .labels = at::tensor(both.labels, at::kLong), .classes = 2};
  const auto chosen = std::find_if(trials.begin(), trials.end(), [](const HeadTrial& trial) { return trial.chosen; });
  const LogisticFit fit = fit_logistic(data, chosen->penalty * feature_variance(both.rows));
  network->load(weights, /*with_head=*/true);
  // Both searches end within 1e-8 of a zero gradient; the weights are rounded to float32 twice.
  EXPECT_TRUE(
      test::tensors_close(network->head_tensor(ParameterRole::kWeight), fit.weight.to(at::kFloat), {.relative = 1e-5, .absolute = 1e-6}));
  EXPECT_TRUE(
      test::tensors_close(network->head_tensor(ParameterRole::kBias), fit.bias.to(at::kFloat), {.relative = 1e-5, .absolute = 1e-6}));
}

// ---- whole runs

TrainOptions options_with(const std::filesystem::path& folder, const char* name, HeadInit init, int epochs) {
  TrainOptions options = test::tiny_options(folder, {.name = name});
  options.head_init = init;
  options.epochs = epochs;
  options.head_class = {{"class_0", "2"}};  // the tiny source's rows have no names
  return options;
}

TEST(HeadInitRun, WithoutEpochsTheModelHoldsTheSourcesRow) {
  const test::TempDir folder;
  std::string log;
  TrainOptions options = options_with(folder.path(), "run", HeadInit::kClass, 0);
  options.log = [&log](LogLevel, std::string_view message) { log += std::string(message) + "\n"; };
  const TrainResult result = train(options);
  expect_says(log, {"class_0 from row 2", "no source class for class_1"});
  ASSERT_EQ(result.head_sources.size(), 2U);
  EXPECT_EQ(result.head_sources[0].row, 2);
  EXPECT_EQ(result.head_sources[1].row, -1);
  EXPECT_EQ(result.best_epoch, 0);
  EXPECT_TRUE(result.history.empty());
  EXPECT_EQ(result.validation.photos.size(), 4U);
  const StateDict source = read_weights(options.model), model = read_weights(result.model_file);
  const at::Tensor rows = to_engine(*source.find("_fc.weight")), head = to_engine(*model.find("_fc.weight"));
  EXPECT_TRUE(head[0].equal(rows[2]));
  EXPECT_EQ(test::differing_tensors(source, model), (std::vector<std::string>{"_fc.weight", "_fc.bias"}));
  const TrainResult again = resume_training({.run = options.out, .expected = {{"head_class", "class_0=2"}, {"epochs", "0"}}});
  EXPECT_EQ(again.validation.metrics.top1, result.validation.metrics.top1);
  EXPECT_EQ(again.head_sources[0].row, 2);
  expect_says(message_of(ErrorCategory::kUsage,
                         [&] {
                           resume_training({.run = options.out, .expected = {{"head_class", "class_0=3"}}});
                         }),
              {"head_class"});
}

TEST(HeadInitRun, AModelOfHeadstartKnowsItsOwnClasses) {
  const test::TempDir folder;
  const TrainResult first = train(options_with(folder.path(), "first", HeadInit::kProbe, 0));
  TrainOptions options = options_with(folder.path(), "second", HeadInit::kClass, 0);
  options.head_class.clear();
  options.model = first.model_file.string();
  const TrainResult second = train(options);
  EXPECT_EQ(rows_of(second.head_sources), (std::vector<int>{0, 1}));
  // Every row and the backbone copied: the same tensors, so the same answers.
  EXPECT_TRUE(test::differing_tensors(test::read_model_tensors(first.options.out), test::read_model_tensors(second.options.out)).empty());
}

// Of the tiny source's four random rows some happen to score the one class higher, and some do not.
TEST(HeadInitRun, TheProbeIsHelpedByARowThatThePhotosBearOut) {
  const test::TempDir folder;
  TrainOptions alone = options_with(folder.path(), "alone", HeadInit::kProbe, 0);
  alone.head_class.clear();
  EXPECT_TRUE(train(alone).head_sources.empty());
  int helpful = 0;
  for (const char* const row : {"0", "1", "2", "3"}) {
    TrainOptions helped = alone;
    helped.out = folder / (std::string("row") + row);
    helped.head_class = {{"class_0", row}};
    const TrainResult result = train(helped);
    const std::vector<std::string> changed =
        test::differing_tensors(test::read_model_tensors(helped.out), test::read_model_tensors(alone.out));
    if (result.head_sources.empty()) {
      EXPECT_TRUE(changed.empty());
    } else {
      ++helpful;
      EXPECT_EQ(rows_of(result.head_sources), (std::vector<int>{std::stoi(row), -1}));
      EXPECT_EQ(changed, (std::vector<std::string>{"_fc.weight", "_fc.bias"}));
    }
  }
  EXPECT_GT(helpful, 0);
  EXPECT_LT(helpful, 4);
}

TEST(HeadInitRun, TheRecipeHeadKnowsTheSourcesClassesToo) {
  const test::TempDir folder;
  const TrainResult probe = train(options_with(folder.path(), "probe", HeadInit::kProbe, 0));
  TrainOptions options = test::tiny_options(folder.path(), {.name = "recipe"});
  options.recipe = Recipe::kHead;
  test::ask_for_no_steps(options);
  options.refit = Refit::kNone;  // the other run's recipe has none
  options.head_class = probe.options.head_class;
  EXPECT_EQ(rows_of(train(options).head_sources), rows_of(probe.head_sources));
  EXPECT_TRUE(test::differing_tensors(test::read_model_tensors(folder / "probe"), test::read_model_tensors(options.out)).empty());
}

TEST(HeadInitRun, TheProbeTellsTheTinyPhotosApartBeforeAnyStep) {
  for (const Recipe recipe : {Recipe::kFinetune, Recipe::kHead}) {
    const test::TempDir folder;
    TrainOptions options = test::tiny_options(folder.path(), {.classes = 3, .photos_per_class = 15});
    options.recipe = recipe;
    options.head_init = HeadInit::kProbe;
    options.epochs = 0;
    EXPECT_GE(train(options).validation.metrics.top1, 0.8);
  }
}

TEST(HeadInitRun, EpochsThatAreWorseLeaveTheFittedNetwork) {
  const test::TempDir folder;
  TrainOptions options = test::tiny_options(folder.path(), {.classes = 3, .photos_per_class = 15, .name = "fit"});
  options.recipe = Recipe::kHead;
  test::ask_for_no_steps(options);
  options.refit = Refit::kNone;  // finetune has none
  TrainResult told;
  const TrainResult fitted = train(options, {.on_head_fit = [&told](const TrainResult& so_far) { told = so_far; }});
  EXPECT_EQ(fitted.options.epochs, 0);
  ASSERT_TRUE(fitted.start && told.start);
  EXPECT_EQ(told.start->validation_top1, fitted.start->validation_top1);
  EXPECT_EQ(told.head_trials.size(), 1U);  // too few photos to choose a penalty by
  EXPECT_GE(fitted.validation.metrics.top1, 0.8);
  // A rate that spoils everything.
  options.out = folder / "spoilt";
  options.recipe = Recipe::kFinetune;
  options.head_init = HeadInit::kProbe;
  options.batch_norm = BatchNormPolicy::kFrozen;
  options.epochs = 2;
  options.lr = 3;
  options.clip_norm = 1;
  const TrainResult spoilt = train(options);
  EXPECT_EQ(spoilt.best_epoch, 0);
  EXPECT_EQ(spoilt.history.size(), 2U);
  EXPECT_TRUE(test::differing_tensors(test::read_model_tensors(fitted.options.out), test::read_model_tensors(spoilt.options.out)).empty());
}

TEST(HeadInitRun, TheFitIsTheSameTwiceAndDoesNotDependOnTheSeed) {
  const test::TempDir folder;
  test::make_tiny_dataset(folder / "photos/train", 2, 6);
  test::make_tiny_dataset(folder / "photos/val", 2, 2, 9);
  const auto run = [&](const char* name, HeadInit init, std::uint64_t seed) {
    TrainOptions options = options_with(folder.path(), name, init, 0);
    options.seed = seed;
    train(options);
    return test::read_model_tensors(options.out);
  };
  EXPECT_TRUE(test::differing_tensors(run("a", HeadInit::kProbe, 1), run("b", HeadInit::kProbe, 2)).empty());
  EXPECT_TRUE(test::differing_tensors(run("c", HeadInit::kClass, 1), run("d", HeadInit::kClass, 2)).empty());
}

TEST(HeadInitRun, AResumedRunEndsAsOneThatWasNeverStopped) {
  for (const HeadInit init : {HeadInit::kProbe, HeadInit::kClass}) {
    const test::TempDir folder;
    train(options_with(folder.path(), "straight", init, 2));
    const TrainOptions stopped = options_with(folder.path(), "stopped", init, 2);
    message_of(ErrorCategory::kInterrupted, [&] { train(stopped, test::stop_after(3)); });
    resume_training({.run = stopped.out});
    EXPECT_TRUE(test::differing_tensors(test::read_model_tensors(folder / "straight"), test::read_model_tensors(stopped.out)).empty());
    // Stopped while the features are computed, before there is a checkpoint: from the start again, with the rows that were chosen then.
    const TrainOptions early = options_with(folder.path(), "early", init, 2);
    TrainCallbacks callbacks;
    bool has_begun = false;
    callbacks.on_start = [&](const ResolvedOptions&, const Catalog&) { has_begun = true; };
    callbacks.should_stop = [&] { return has_begun; };
    expect_says(message_of(ErrorCategory::kInterrupted, [&] { train(early, callbacks); }), {"features"});
    EXPECT_FALSE(std::filesystem::exists(early.out / "checkpoint.safetensors"));
    resume_training({.run = early.out});
    EXPECT_TRUE(test::differing_tensors(test::read_model_tensors(folder / "straight"), test::read_model_tensors(early.out)).empty());
  }
}

TEST(HeadInitRun, RefusesWhatCannotBeMeant) {
  const test::TempDir folder;
  const auto refused = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions options = options_with(folder.path(), "run", HeadInit::kClass, 1);
    change(options);
    return message_of(ErrorCategory::kUsage, [&] { train(options); });
  };
  expect_says(refused([](TrainOptions& o) { o.scratch = true; }), {"scratch"});
  expect_says(refused([](TrainOptions& o) { o.head_bias = HeadBias::kUniform; }), {"head_bias"});
  expect_says(refused([](TrainOptions& o) { o.head_init = HeadInit::kZero; }), {"head_class", "head_init class or probe"});
  // The recipe head fits its layer, unless it is asked for steps.
  const auto head_by_steps = [](TrainOptions& o) { o.head_init.reset(), o.recipe = Recipe::kHead, o.epochs = 2; };
  expect_says(refused(head_by_steps), {"head_class", "head_init class or probe"});
  expect_says(refused([](TrainOptions& o) { o.head_class = {{"class_7", "2"}}; }), {"class_7", "class_1"});
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

}  // namespace
}  // namespace headstart
