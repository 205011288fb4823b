// The first values of a new output layer that come from elsewhere: from rows of the source's output layer (HeadInit::kClass), or from a fit
// to the training photos' features (HeadInit::kProbe). docs/recipes.md says what they do, docs/evidence.md why.
//
// Thread-safety: one thread. Errors: kUsage (a class or a source class that does not exist, or that is not clear), kModel (a source without
// an output layer, or whose rows have no names where names are needed).
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "headstart/train.h"
#include "model/network.h"
#include "train/feature_store.h"
#include "train/logistic.h"
#include "train/source.h"

namespace headstart {

// Which row of the source each class has, by class: kClass starts from these, kProbe's fit may be helped by them. `asked` as
// TrainOptions::head_class. A class whose own name means several of the source's is an error under kClass, as is no class with a row; under
// kProbe, which can do without, it has none, and where none has one the answer is empty.
std::vector<HeadSource> match_classes(const std::vector<std::string>& classes, const Source& source,
                                      const std::map<std::string, std::string>& asked, HeadInit init = HeadInit::kClass);

// "output layer: hotdog from row 934 (hotdog); no source class for not-hotdog: …", for the log.
std::string matches_text(const std::vector<std::string>& classes, const std::vector<HeadSource>& sources, std::size_t source_rows);

// Copies the rows, bit by bit; a class without one gets the mean of the rows that no class has (zero where there is none). On the CPU.
void copy_head_rows(Network& network, const Source& source, const std::vector<HeadSource>& sources);

// What the source's output layer knows of the classes.
struct KnownRows {
  std::vector<HeadSource> sources;  // by class; empty where no class has a row
  at::Tensor weights;               // float32 [classes that have one, F] on the CPU, in the order of the classes; undefined where none has
};
KnownRows known_rows(const Network& network, const Source& source, std::vector<HeadSource> sources);

// Those rows of which the training photos say that they help: a name can mean something else, and a wrong row misleads a fit to a handful
// of photos (docs/recipes.md). A class's own photos have to score clearly higher on its row than the others; and of a class with many
// photos these tell more than the row does.
KnownRows helpful_rows(const KnownRows& known, const FeatureTable& train);

// Whether something is fitted before the first step: with kProbe the whole output layer, with kClass the biases of the classes without a
// row.
bool needs_head_fit(const ResolvedOptions& options, const std::vector<HeadSource>& sources);

struct HeadFitPhotos {
  const FeatureTable& train;
  const FeatureTable* validation = nullptr;  // whose loss chooses the penalty; nullptr or few: one that suits most is taken
  at::Tensor class_weights;                  // float [classes], or undefined: 1
  KnownRows known_rows;                      // helpful_rows()
};
// Both throw Error(kData) where no training photo could be read, Error(kTraining) for features that are not finite.
void fit_head_biases(Network& network, const HeadFitPhotos& photos, const std::vector<HeadSource>& sources);  // kClass
std::vector<HeadTrial> fit_head(Network& network, const HeadFitPhotos& photos);                               // kProbe

// How well heads as fit_head's tell photos apart that they were not fitted to: all photos of both tables, each scored by a fit to four
// fifths or so of them under the chosen trial's penalty. The tables hold the photos' evaluation views. To be called behind fit_head.
LogisticScore cross_validate_head(const Network& network, const HeadFitPhotos& photos, std::span<const HeadTrial> trials);

// What the output layer's weight and bias gain by a fit to the photos of both tables, under the chosen trial's penalty: published names,
// float32, to be added. To be called behind fit_head, with validation photos.
StateDict refit_gain(const Network& network, const HeadFitPhotos& photos, std::span<const HeadTrial> trials);
void add_refit_gain(StateDict& weights, const StateDict& gain);

}  // namespace headstart
