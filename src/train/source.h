// Where a run starts from: a source model by name or a weights file, as a network with a new output layer.
//
// Thread-safety: free functions may run at the same time. Errors: kUsage (unknown name or architecture), kModel (file damaged or not
// fitting), kFile, kNetwork (a source model that had to be fetched), kInterrupted.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "headstart/log.h"
#include "headstart/preprocess.h"
#include "headstart/train.h"
#include "model/network.h"
#include "weights/state_dict.h"

namespace headstart {

struct Source {
  std::string model;  // source model name, or the absolute path of a weights file
  const Architecture* architecture = nullptr;
  std::string sha256;                             // of the weights file
  Preprocessing preprocessing;                    // of the published weights, or of the headstart model file
  std::vector<std::vector<std::string>> classes;  // names of each output row, the best known first; none where they are not known
  std::map<std::string, std::string> provenance;  // source_model, source_sha256, source_licence, source_origin: those that are known
  StateDict weights;
};

struct SourceRequest {
  std::string model;         // as TrainOptions::model
  std::string architecture;  // as TrainOptions::architecture
  bool scratch = false;      // only the architecture is wanted: no weights are fetched or kept
  LogSink log;
  std::function<bool()> should_stop;  // polled while fetching
};

// Whether open_source() reads a weights file: from scratch, the name of an architecture is enough.
bool reads_weights(const SourceRequest& request);

// Fetches a named source model that is not in the cache yet.
Source open_source(const SourceRequest& request);

// The source's network for `classes` classes: every layer but the output copied, the output layer new; from scratch all of it new. What
// HeadInit::kClass and kProbe put into the output layer comes later (head_init.h).
std::unique_ptr<Network> make_target_network(const Source& source, std::int64_t classes, const ResolvedOptions& options);

}  // namespace headstart
