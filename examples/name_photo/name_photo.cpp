// Names photos with a trained model: name_photo MODEL PHOTO…
#include <cstdio>
#include <exception>

#include "headstart/classifier.h"
#include "headstart/error.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: name_photo MODEL PHOTO...\n");
    return headstart::exit_code(headstart::ErrorCategory::kUsage);
  }
  try {
    const auto classifier = headstart::Classifier::open(argv[1]);
    for (int i = 2; i < argc; ++i) {
      const std::vector<float> probabilities = classifier.predict_file(argv[i]);
      const headstart::ClassScore best = headstart::top_scores(probabilities, 1).front();
      std::printf("%s: %s (%.1f%%)\n", argv[i], classifier.info().classes[static_cast<std::size_t>(best.label)].c_str(),
                  100.0 * static_cast<double>(best.probability));
    }
  } catch (const headstart::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return headstart::exit_code(error.category());
  }
}
