// What a person sees of a sweep: progress of the run under way, and a line for each that ended.
//
// Thread-safety: as TrainCallbacks: one thread at a time. Ownership: borrows the Console; the callbacks borrow the view.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "headstart/sweep.h"
#include "train_view.h"

namespace headstart::cli {

class SweepView {
 public:
  SweepView(Console& console, std::vector<SweepAxis> axes) : console_(console), axes_(std::move(axes)), run_(console, "Sweep") {}
  SweepCallbacks callbacks();

 private:
  std::string name_of(const SweepCase& one, std::uint64_t seed) const;
  Console& console_;
  std::vector<SweepAxis> axes_;
  TrainView run_;
};

}  // namespace headstart::cli
