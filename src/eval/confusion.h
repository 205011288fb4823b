// Which classes are taken for which: the off-diagonal of a confusion matrix, largest first.
#pragma once

#include <cstdint>
#include <vector>

#include "headstart/evaluate.h"

namespace headstart {

struct ConfusedPair {
  int label = 0;      // true class
  int predicted = 0;  // what the model said instead
  std::int64_t photos = 0;
  double share = 0;  // of the photos of the true class
};

// At most `most` pairs that occur, by count; ties by lower true label, then lower predicted label.
std::vector<ConfusedPair> most_confused(const Metrics& metrics, std::size_t most);

}  // namespace headstart
