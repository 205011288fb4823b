// A progress bar with rate and remaining time on a terminal; elsewhere a plain line every ten seconds; nothing when quiet.
//
// Thread-safety: update() from one thread at a time. Ownership: borrows the Console.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "terminal.h"

namespace headstart::cli {

enum class Unit { kPhotos, kBytes };

// What a progress line shows; apart from the drawing, so that it can be tested.
struct ProgressState {
  std::string title;
  Unit unit = Unit::kPhotos;
  std::int64_t done = 0;
  std::int64_t total = 0;  // 0: unknown
  double rate = 0;         // units a second; 0: not known yet
  std::string extra;       // "loss 0.412"
};

// One line of at most `columns` columns, with a bar where there is room for one.
std::string draw_bar(const ProgressState& state, int columns, bool utf8);
// "Epoch 1/5: 640 of 1,600 photos (40%), 31.5 photos/s, 30 s left".
std::string plain_progress(const ProgressState& state);

class Progress {
 public:
  Progress(Console& console, std::string title, Unit unit = Unit::kPhotos);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done, std::int64_t total, std::string_view extra = {});
  const std::string& title() const { return state_.title; }

 private:
  using Clock = std::chrono::steady_clock;
  void measure(std::int64_t done, Clock::time_point now);
  Console& console_;
  bool utf8_;
  ProgressState state_;
  std::optional<Clock::time_point> started_;
  std::int64_t first_done_ = 0;
  Clock::time_point drawn_;
};

}  // namespace headstart::cli
