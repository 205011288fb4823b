// A trained model: open the one file that a run ships and name photos with it.
//
// Thread-safety: after open() every const member may be called from any number of threads at the same time.
// Errors: kModel (file damaged or not a headstart model), kData (unreadable photo), kDevice.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "headstart/image.h"
#include "headstart/log.h"
#include "headstart/preprocess.h"

namespace headstart {

enum class Precision { kAuto, kFloat32, kBFloat16 };

// What a model file says of itself.
struct ModelInfo {
  std::string architecture;          // "efficientnet_lite0", "resnet18", …
  std::vector<std::string> classes;  // index = label
  Preprocessing preprocessing;
  double temperature = 1;                         // probabilities are softmax(logits / temperature); fitted on the validation photos
  std::map<std::string, double> metrics;          // "validation_top1", "test_top1", …; shares in [0, 1]
  std::map<std::string, std::string> provenance;  // source model, its hash and licence, headstart version, seed, date, data fingerprint, …
};

// Reads only the header of a model file: cheap whatever the model's size.
ModelInfo read_model_info(const std::filesystem::path& model_file);

struct ClassifierOptions {
  std::string device = "auto";  // "auto", "cpu", "cuda", "cuda:0"
  Precision precision = Precision::kFloat32;
  int threads = 0;  // 0: all cores. open() sets LibTorch's thread count, which is the process's: the last one counts
};

struct ClassScore {
  int label = 0;
  float probability = 0;
};

// The answer for one photo of a stream. On failure `error` holds the reason and `probabilities` is empty.
struct PhotoPrediction {
  std::filesystem::path path;
  std::vector<float> probabilities;  // [classes], sums to 1
  std::string error;
};

// The k likeliest classes, best first; ties by lower label. k is cut to the number of classes.
std::vector<ClassScore> top_scores(std::span<const float> probabilities, int k);

class Classifier {
 public:
  static Classifier open(const std::filesystem::path& model_file, const ClassifierOptions& options = {});
  Classifier(Classifier&&) noexcept;
  Classifier& operator=(Classifier&&) noexcept;
  ~Classifier();

  const ModelInfo& info() const;

  // Probabilities [classes] of one photo: from a file, from encoded bytes (JPEG, PNG, …), or from RGB pixels u8 [height, width, 3].
  std::vector<float> predict_file(const std::filesystem::path& path) const;
  std::vector<float> predict_encoded(std::span<const std::byte> encoded) const;
  std::vector<float> predict(const Image& image) const;
  std::vector<float> predict_rgb(std::span<const std::uint8_t> rgb, ImageSize size) const;

  // Names a stream of photos in batches. `next` yields paths until nullopt and is called from one background thread; `sink` gets the
  // answers in input order on the calling thread. Memory does not grow with the length of the stream. An unreadable photo is an answer
  // with `error` set. An exception from `next` or `sink` ends the stream and reaches the caller.
  struct StreamOptions {
    int batch_size = 32;
    std::function<bool()> should_stop;  // polled between batches; true ends the stream with Error(kInterrupted)
  };
  void predict_stream(const std::function<std::optional<std::filesystem::path>()>& next,
                      const std::function<void(const PhotoPrediction&)>& sink, const StreamOptions& options) const;

 private:
  struct Impl;
  explicit Classifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headstart
