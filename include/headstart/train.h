// Training: a folder of photos and a source model in, a run folder out.
//
// The run folder holds model.safetensors (the best epoch; usable at any moment after the first epoch), checkpoint.safetensors, log.csv,
// run.json, dataset.csv, predictions.csv, the figure (figure.svg, figure.png) and report.html. A run that is stopped at any instant is
// continued by resume_training() and ends bit-equal to one that was never stopped (same machine, device and thread count). Thread-safety:
// one training at a time in a process (LibTorch's thread count is global). Callbacks come on the calling thread. Errors: kUsage (options),
// kData (photos), kModel (source model), kFile, kTraining (NaN or infinite loss), kDevice, kInterrupted, kNetwork (another process of the
// group is gone).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headstart/classifier.h"
#include "headstart/dataset.h"
#include "headstart/distributed.h"
#include "headstart/error.h"
#include "headstart/evaluate.h"
#include "headstart/log.h"
#include "headstart/preprocess.h"

namespace headstart {

// A recipe is a set of defaults (recipe_defaults); any of them can be overridden.
enum class Recipe {
  // The head first, as kHead fits it: to photos as the source model sees them (centre cropped) and to whole photos squashed into its
  // square or a larger one, of which the one with the lowest cross-validated loss is kept, unless the preprocessing is given or there are
  // too few photos to say (kFewestToJudge). Then all layers from there, gently (the deeper a stage the higher its rate), the weights
  // averaged over the steps, for as long as the validation photos say that it pays. Where there are too few of them to say so or nothing
  // is left to gain, the head is the model. In the end the head learns from the validation photos too (Refit::kHead).
  kAuto,
  kFinetune,  // all layers; the head at head_lr_multiplier times the backbone's learning rate; warm-up, then cosine to zero
  // Backbone frozen and in evaluation mode, its features computed once; only the output layer is new. It is fitted to the features
  // (HeadInit::kProbe) and learns from the validation photos in the end (Refit::kHead), or is trained by steps where epochs or anything
  // that steps have (lr, optimizer, batch_size, …) is asked for.
  kHead,
  kBookPytorch,  // Dive into Deep Learning 13.2, PyTorch track: plain SGD at a constant rate on summed losses; docs/book.md
  kBookGluon,    // the same chapter's Gluon track: gradients averaged, every weight Xavier, decay on every parameter
};
enum class OptimizerKind { kSgd, kAdamW };
enum class BatchNormPolicy {
  kTrain,             // batch statistics, running statistics updated, scale and shift trained
  kFrozenStatistics,  // running statistics used and kept still, scale and shift trained
  kFrozen,            // running statistics used, nothing of the norm changes
};
enum class LossReduction { kMean, kSum };             // of the photos of an optimizer step, before it is differentiated
enum class DecayScope { kWeights, kAll };             // kWeights: none on biases and norms
enum class LearningRateShape { kCosine, kConstant };  // after the warm-up
enum class ScratchInit {
  kTorchvision,  // convolutions Kaiming normal (fan-out), output layer uniform within 1/sqrt(features)
  kXavier,       // every weight Xavier uniform (MXNet's Xavier(): factor "avg", magnitude 3), biases zero
};
// The new output layer. With kClass and kProbe its bias comes along.
enum class HeadInit {
  kXavier,  // weight uniform within sqrt(6 / (features + classes))
  kZero,
  kClass,  // the source's output rows of the classes of the same name (TrainOptions::head_class); docs/recipes.md on those without
  kProbe,  // fitted to the training photos' features before the first step: logistic regression, its penalty chosen on the validation
           // photos, where there are kFewestToJudge of them; the source's rows of the same names (TrainOptions::head_class) help it
};
enum class HeadBias { kZero, kUniform };  // its bias: zero, or uniform within 1/sqrt(features), as PyTorch's Linear
// What is done with the validation photos when training has ended. kHead needs Recipe::kAuto or kHead with HeadInit::kProbe,
// EpochScore::kValidation and no `views`. Nothing is done where they were not set aside from those to train on (a val/ folder), and where
// they are more than 4,000 (they would add little): TrainResult::refitted tells.
enum class Refit {
  kNone,
  kHead,  // the output layer learns from them too: it is changed as a second fit, to both, differs from the first. Figures and temperature
          // are of the model before that, which has not seen them
};
enum class Keep { kBest, kLast };              // which epoch's weights become the model
enum class EpochScore { kValidation, kTest };  // what is scored after each epoch; kTest only with kLast: test photos choose nothing
std::string_view to_string(EpochScore score);  // "validation", "test"
enum class Imbalance {
  kNone,
  kClassWeights,     // loss weighted by photos / (classes * photos of the class)
  kBalancedSampler,  // every class drawn equally often, with replacement
};

// With fewer validation photos Recipe::kAuto does not fine-tune, and HeadInit::kProbe does not choose its penalty; with fewer photos in all
// Recipe::kAuto does not choose how they are shown: one photo more or less would decide.
inline constexpr int kFewestToJudge = 40;

// What a recipe does where TrainOptions leave it open. docs/evidence.md says what each figure rests on.
struct RecipeDefaults {
  int epochs = 0;
  double stage_lr_decay = 1;  // as TrainOptions', which the next two are as well
  double weight_average = 0;
  int patience = 0;
  int batch_size = 0;
  double sgd_lr = 0;
  double adamw_lr = 0;
  double head_lr_multiplier = 1;
  double warmup_epochs = 0;
  double momentum = 0.9;      // SGD
  double sgd_decay = 1e-4;    // weight decay with SGD
  double adamw_decay = 0.05;  // with AdamW
  BatchNormPolicy batch_norm = BatchNormPolicy::kTrain;
  LossReduction loss = LossReduction::kMean;
  DecayScope decay = DecayScope::kWeights;
  LearningRateShape schedule = LearningRateShape::kCosine;
  ScratchInit scratch_init = ScratchInit::kTorchvision;
  HeadInit head_init = HeadInit::kXavier;
  HeadBias head_bias = HeadBias::kZero;
  Keep keep = Keep::kBest;
  EpochScore score = EpochScore::kValidation;
  std::string_view model;  // source model; empty: the default one
  bool exact = false;      // pixels and arithmetic as the book's: exact augmentation, float32
  Augmentation augmentation;
  std::optional<ResizeMode> resize;  // where it differs from the source model's own
};
// `architecture` as SourceModel::architecture; any other name gets what the ResNets get. `scratch` as TrainOptions::scratch.
RecipeDefaults recipe_defaults(Recipe recipe, std::string_view architecture, bool scratch = false);

// How much is kept in memory rather than done again, or read from the run folder.
struct MemoryBounds {
  std::int64_t pixel_bytes = std::int64_t{1} << 30;   // decoded photos; those past it are decoded each time
  std::int64_t prefix_bytes = std::int64_t{2} << 30;  // of a run, outputs of its frozen stages; those past it are in a file
};

// What the runs of one process need not do twice: reading and hashing source weights, walking the photos, decoding those that training sees
// in exact mode, and the features of the recipe head. Runs that are given the same one end as they would alone: what is kept are the very
// values that each would compute (a photo's features were computed among other photos of its batch, which changes them by rounding at
// most). Photos that change on disk meanwhile are skipped as changed, as within one run. Memory: the weights files, 4 bytes a feature and
// photo, and decoded photos up to the bound. Thread-safety: as train().
class SharedInputs {
 public:
  explicit SharedInputs(const MemoryBounds& bounds = {});
  ~SharedInputs();
  SharedInputs(const SharedInputs&) = delete;
  SharedInputs& operator=(const SharedInputs&) = delete;

  // Photos whose features were computed so far, each counted once for every backbone, preprocessing and number format.
  std::int64_t features_computed() const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// What a person may ask for. Optionals left empty are resolved by recipe (recipe_defaults), model and machine into ResolvedOptions.
struct TrainOptions {
  std::filesystem::path photos;
  std::string model;          // source model name, or a weights file; empty: the default source model
  std::string architecture;   // for a weights file whose architecture cannot be told from its tensors; else empty
  std::filesystem::path out;  // run folder; empty: "runs/<photos' folder name>-<n>", the first free n
  Recipe recipe = Recipe::kAuto;
  bool scratch = false;       // train the architecture from random weights: nothing of the source model is read but its name
  std::optional<int> epochs;  // 0: nothing is trained, the network as it starts is scored and becomes the model
  std::optional<int> batch_size;
  std::optional<double> lr;                  // peak rate of the backbone group (head recipe: of the head)
  std::optional<double> head_lr_multiplier;  // the head's rate over the backbone's
  std::optional<double> stage_lr_decay;      // a stage's rate over that of the stage behind it, in (0, 1]
  std::optional<double> warmup_epochs;       // linear, then cosine to zero; fractions allowed
  std::optional<double> weight_average;      // decay of the weights' moving average over the steps, below 1; 0: none
  std::optional<int> patience;               // epochs without a better one after which training ends; 0: never
  double budget = 0;                         // seconds for the whole run; 0: as many as it takes. Needs Recipe::kAuto
  std::optional<OptimizerKind> optimizer;    // SGD
  std::optional<double> momentum;            // SGD only
  std::optional<double> weight_decay;
  std::optional<DecayScope> decay;
  std::optional<LossReduction> loss;
  std::optional<LearningRateShape> schedule;
  std::optional<ScratchInit> scratch_init;
  std::optional<HeadInit> head_init;
  // With kClass and kProbe: class → the source's class, by name (any of imagenet_classes()'s, or a label of the source model file) or by
  // row; "" for none. Classes that are not named here are matched by their own name.
  std::map<std::string, std::string> head_class;
  std::optional<HeadBias> head_bias;
  std::optional<Refit> refit;  // empty: kHead wherever it can be
  std::optional<Keep> keep;
  std::optional<EpochScore> score;
  double label_smoothing = 0;
  Imbalance imbalance = Imbalance::kNone;
  std::optional<BatchNormPolicy> batch_norm;
  // A stage of the network ("stem", "layer1", …): it and all before it stay as the source has them. Empty: none.
  std::string freeze_until;
  // Augmented views of a training photo that are drawn once, epoch e taking view e mod views; 0, the default: a new one each epoch. The
  // features that a head is fitted to are those of all views.
  std::optional<int> views;
  bool sync_batch_norm = false;  // batch statistics over the whole batch, not over each process's share of it
  int accumulate = 1;            // batches per optimizer step
  double clip_norm = 0;          // global gradient norm; 0: no clipping
  Precision precision = Precision::kAuto;
  std::string device = "auto";
  int threads = 0;                         // 0: all cores, divided among the processes of this machine
  std::optional<Distributed> distributed;  // one of several processes; batch_size is that of all of them together
  std::uint64_t seed = 0;
  double validation_fraction = 0.2;
  double max_unreadable_share = 0.1;           // of a split; more and training stops with Error(kData)
  std::optional<Preprocessing> preprocessing;  // empty: the source model's own
  std::optional<Augmentation> augmentation;    // empty: the recipe's
  std::optional<DecodeOptions> decode;         // overrides the decode part of the preprocessing
  std::shared_ptr<SharedInputs> shared;        // of several runs; empty: the run's own
  LogSink log;
};

// TrainOptions with nothing left open; stored in run.json and in checkpoints.
struct ResolvedOptions {
  std::filesystem::path photos;
  std::filesystem::path out;
  std::string model;  // as asked for
  std::string architecture;
  std::string model_sha256;  // of the source weights file
  Recipe recipe = Recipe::kAuto;
  bool scratch = false;
  int epochs = 0;  // with a budget: at most
  double budget = 0;
  bool choose_resize = false;  // Recipe::kAuto, preprocessing left open, the source model shown a part of each photo
  int batch_size = 0;
  double lr = 0;
  double head_lr_multiplier = 0;
  double stage_lr_decay = 1;
  double warmup_epochs = 0;
  double weight_average = 0;
  int patience = 0;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double momentum = 0;
  double weight_decay = 0;
  DecayScope decay = DecayScope::kWeights;
  LossReduction loss = LossReduction::kMean;
  LearningRateShape schedule = LearningRateShape::kCosine;
  ScratchInit scratch_init = ScratchInit::kTorchvision;
  HeadInit head_init = HeadInit::kXavier;
  std::map<std::string, std::string> head_class;  // as asked for
  HeadBias head_bias = HeadBias::kZero;
  Refit refit = Refit::kNone;
  Keep keep = Keep::kBest;
  EpochScore score = EpochScore::kValidation;
  double label_smoothing = 0;
  Imbalance imbalance = Imbalance::kNone;
  BatchNormPolicy batch_norm = BatchNormPolicy::kTrain;
  std::string freeze_until;
  int views = 0;
  bool sync_batch_norm = false;
  int accumulate = 1;
  double clip_norm = 0;
  Precision precision = Precision::kFloat32;  // never kAuto
  std::string device;                         // never "auto"
  int threads = 1;
  int processes = 1;  // that train together; the file and the figures are rank 0's
  std::uint64_t seed = 0;
  double validation_fraction = 0;
  double max_unreadable_share = 0;
  Preprocessing preprocessing;
  Augmentation augmentation;
};

// A fit of the output layer under HeadInit::kProbe, with one penalty.
struct HeadTrial {
  double penalty = 0;          // L2, on the mean squared weight times half the features' variance
  double train_loss = 0;       // mean cross-entropy without the penalty; weighted where the run weighs classes, as the next
  double validation_loss = 0;  // 0 where no validation photo may choose (EpochScore::kTest) or none can be read
  double validation_top1 = 0;
  bool chosen = false;  // lowest validation loss, or the only one
};

// Output layers fitted to photos that are resized in one way, under Recipe::kAuto.
struct ResizeTrial {
  ResizeMode mode = ResizeMode::kShorterSide;
  int resize_size = 0;  // with kSquash also the crop's
  double loss = 0;      // mean cross-entropy of all training and validation photos, each scored by a layer that was fitted without it,
                        // weighted where the run weighs classes; with `views`, or thousands of validation photos: of these alone
  double top1 = 0;      // of the same
  bool chosen = false;  // lowest loss
};

// One line of log.csv.
struct EpochRecord {
  int epoch = 0;          // 1-based; 0: before the first step
  double train_loss = 0;  // mean over the epoch's photos, in training mode, each batch scored before its own update
  double train_top1 = 0;
  double validation_loss = 0;
  double validation_top1 = 0;
  double lr = 0;       // backbone rate at the epoch's last step
  double seconds = 0;  // training part, wall clock
  double validation_seconds = 0;
  double photos_per_second = 0;  // training part
  double loader_wait_share = 0;  // of the training part's wall clock
  bool best = false;             // kept so far: best validation top-1 (ties: lower loss), or with Keep::kLast the newest
};

// Running means over the epoch so far, in training mode: about five points an epoch and its end. For curves.
struct TrainingPoint {
  double epoch = 0;  // 1.4: two fifths of the second epoch are done
  double loss = 0;
  double top1 = 0;
};

struct StepProgress {
  int epoch = 0;  // 1-based
  int epochs = 0;
  std::int64_t photos_done = 0;  // of this epoch
  std::int64_t photos_total = 0;
  double train_loss = 0;  // running mean of this epoch
  double train_top1 = 0;
  double photos_per_second = 0;
};

enum class Stage { kScan, kFeatures, kTrain, kValidate, kTest, kReport };

struct TrainResult;

struct TrainCallbacks {
  std::function<void(const ResolvedOptions&, const Catalog&)> on_start;
  std::function<void(Stage, std::int64_t done, std::int64_t total)> on_stage;  // progress of the stages other than kTrain
  std::function<void(const TrainResult&)> on_head_fit;                         // head_trials and start are there
  std::function<void(const StepProgress&)> on_step;
  std::function<void(const EpochRecord&)> on_epoch;
  std::function<void(const TrainResult&)> on_curve;  // a new point of the curve, or a new epoch: history and curve so far
  std::function<bool()> should_stop;                 // polled every step; true saves a checkpoint and ends with Error(kInterrupted)
};

// What of the source's output layer belongs to a class: under HeadInit::kClass its first row, under kProbe a help for the fit.
struct HeadSource {
  int row = -1;      // -1: none; under kClass the class gets the mean of all rows that no class has
  std::string name;  // of the source's class, the best known one; empty where the source has no names
};

struct TrainResult {
  ResolvedOptions options;
  std::vector<std::string> classes;
  std::vector<HeadSource> head_sources;    // by class; empty where no class has a row of the source's
  std::vector<HeadTrial> head_trials;      // strongest penalty first; empty but under HeadInit::kProbe
  std::vector<ResizeTrial> resize_trials;  // empty but under Recipe::kAuto, which tries three or four where it chooses
  std::optional<EpochRecord> start;        // the fitted network before the first step, under HeadInit::kProbe; a rival of the epochs
  std::vector<EpochRecord> history;
  std::vector<TrainingPoint> curve;
  double photo_share = 1;           // of every class and split that was used: less than 1 where the budget leaves no time for all
  std::int64_t planned_steps = -1;  // that the budget allows, known once the first steps were timed; -1: not yet, or no budget
  int best_epoch = 0;               // whose weights the model file holds; 0: the first ones, of a run without a better epoch
  double temperature = 1;           // of the model's probabilities, fitted on the validation photos; 1 under EpochScore::kTest
  bool refitted = false;            // the model file's output layer has learned from the validation photos too (Refit::kHead)
  Evaluation validation;            // of the best epoch, before a refit; with EpochScore::kTest of the test photos
  std::optional<Evaluation> test;   // when there is a test folder; scored once, with the model file
  std::vector<Problem> unreadable;  // photos that were skipped
  std::vector<Problem> problems;    // the catalogue's
  std::string data_fingerprint;
  double seconds = 0;  // whole run, wall clock, over all its sittings
  std::filesystem::path model_file;
  std::filesystem::path report_file;
};

// A loss that is NaN or infinite, and where.
class DivergedError : public Error {
 public:
  struct Place {
    int epoch = 0;          // 1-based
    std::int64_t step = 0;  // of the whole run, 1-based
    double lr = 0;          // backbone rate at that step
  };
  DivergedError(const std::string& message, const Place& place) : Error(ErrorCategory::kTraining, message), place_(place) {}
  const Place& place() const noexcept { return place_; }

 private:
  Place place_;
};

// With `distributed`, on ranks other than 0 the result holds options and history; scores and files are rank 0's.
TrainResult train(const TrainOptions& options, const TrainCallbacks& callbacks = {});

// What train() would do with these options; the source model is fetched and read where that is needed to tell.
ResolvedOptions resolve(const TrainOptions& options);

// Begins the run in options.out, or goes on with the one that is there, to the same end: the same call again after an interruption. Every
// option that both have must be equal, or Error(kUsage) names those that differ; device, threads and precision that are left open ("auto",
// 0) are the run's own.
TrainResult train_or_resume(const TrainOptions& options, const TrainCallbacks& callbacks = {});

// What the publisher of the source model that `options` name does to a photo: the start for those who change a part of it
// (TrainOptions::preprocessing replaces all of it). A known model is not fetched; of a weights file the tensors are read.
Preprocessing source_preprocessing(const TrainOptions& options);

// Goes on with a run from its last checkpoint. A finished run returns its result at once. Throws Error(kData) naming the photos when the
// data changed since the checkpoint, Error(kUsage) naming the option when one in `expected` differs from the run's.
struct ResumeOptions {
  std::filesystem::path run;
  std::map<std::string, std::string> expected;  // option name as in run.json ("epochs", "lr", …) → the value that the caller insists on
  std::optional<std::filesystem::path> photos;  // when the folder has moved
  std::optional<std::string> device;            // must match the run's to be bit-equal; another one is allowed and logged
  std::optional<Distributed> distributed;       // as many processes as the run was begun with, or another number, which is logged
  std::shared_ptr<SharedInputs> shared;         // as TrainOptions::shared
  LogSink log;
};
TrainResult resume_training(const ResumeOptions& options, const TrainCallbacks& callbacks = {});

}  // namespace headstart
