// report.html: one self-contained page about a run (no script or style from elsewhere), light and dark, also without JavaScript.
//
// Thread-safety: reads files, changes nothing. Errors: none of its own; what cannot be read (a thumbnail, the model's provenance) is left
// out and said so.
#pragma once

#include <filesystem>
#include <string>

#include "headstart/train.h"

namespace headstart {

// Curves (loss and accuracy), headline accuracy with its interval, per-class table, confusion matrix, the most confident mistakes with
// thumbnails (read from `photos_root`; one that cannot be read is shown without), skipped photos, throughput and loader wait, the options
// and provenance, and how to use the model. With a catalogue the page also has the photos of every class by split; provenance comes from
// the result's model file where that can be read.
std::string html_report(const TrainResult& result, const std::filesystem::path& photos_root, const Catalog* catalog = nullptr);

}  // namespace headstart
