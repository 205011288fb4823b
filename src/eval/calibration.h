// Calibration: whether a model that says 80% is right 80% of the time, and the one number that mends most of it.
//
// Temperature scaling (Guo, Pleiss, Sun and Weinberger, 2017): softmax(logits / T), with T fitted on photos that were not trained on. It
// changes no label. Thread-safety: pure functions.
#pragma once

#include <span>

#include "headstart/evaluate.h"

namespace headstart {

// Of a float32 softmax, which underflows to zero where the logarithm is a little below -87: no less than that. NaN stays NaN.
double log_probability(float probability);

// The temperature under which the photos' labels are likeliest, given their probabilities at temperature 1; 1 where there are none. From
// 0.05 to 20. A weak pull to 1 counts as much as a few photos: a handful that are all right would ask for certainty.
double fit_temperature(std::span<const ScoredPhoto> photos);

// Probabilities at temperature 1, [classes], to those at `temperature`; at 1 they stay bit-equal.
void apply_temperature(std::span<float> probabilities, double temperature);

// The same for all photos of an evaluation, and its metrics anew.
void apply_temperature(Evaluation& evaluation, double temperature);

}  // namespace headstart
