#include "progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "text.h"

namespace headstart::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawEvery{100};
constexpr std::chrono::seconds kPlainLineEvery{10};
constexpr int kShortestBar = 8;
constexpr int kLongestBar = 40;

std::string rate_text(const ProgressState& state) {
  if (state.rate <= 0) return "";
  if (state.unit == Unit::kBytes) return human_bytes(static_cast<std::int64_t>(state.rate)) + "/s";
  return fmt::format("{:.{}f}/s", state.rate, state.rate < 100 ? 1 : 0);
}

std::string left_text(const ProgressState& state) {
  if (state.rate <= 0 || state.total <= 0 || state.done >= state.total) return "";
  return human_seconds(static_cast<double>(state.total - state.done) / state.rate) + " left";
}

std::string amount_text(const ProgressState& state) {
  const bool bytes = state.unit == Unit::kBytes;
  const std::string done = bytes ? human_bytes(state.done) : human_count(state.done);
  if (state.total <= 0) return done;
  return fmt::format("{}/{}", done, bytes ? human_bytes(state.total) : human_count(state.total));
}

double share(const ProgressState& state) {
  return state.total > 0 ? std::clamp(static_cast<double>(state.done) / static_cast<double>(state.total), 0.0, 1.0) : 0.0;
}

std::string bar(double filled_share, int width, bool utf8) {
  const int halves = static_cast<int>(filled_share * 2 * width);
  std::string out;
  for (int i = 0; i < width; ++i) {
    const int here = halves - 2 * i;
    if (utf8) {
      out += here >= 2 ? "━" : here == 1 ? "╸" : "─";
    } else {
      out += here >= 2 ? "#" : ".";
    }
  }
  return out;
}

}  // namespace

std::string draw_bar(const ProgressState& state, int columns, bool utf8) {
  const std::string title = fmt::format("{}  ", state.title);
  const std::string percent = state.total > 0 ? fmt::format("  {:3.0f}%", 100 * share(state)) : "";
  std::string tail;
  for (const std::string& part : {amount_text(state), rate_text(state), left_text(state), state.extra}) {
    if (!part.empty()) tail += "  " + part;
  }
  const int fixed = text_columns(title) + text_columns(percent) + text_columns(tail);
  // The last column stays free: some terminals wrap when it is written.
  const int room = std::min(columns - 1 - fixed, kLongestBar);
  const std::string drawn = state.total > 0 && room >= kShortestBar ? bar(share(state), room, utf8) : "";
  return cut_to_columns(title + drawn + percent + tail, std::max(columns - 1, 1));
}

std::string plain_progress(const ProgressState& state) {
  const bool bytes = state.unit == Unit::kBytes;
  std::string text = fmt::format("{}: {}", state.title, bytes ? human_bytes(state.done) : human_count(state.done));
  if (state.total > 0) text += fmt::format(" of {}", bytes ? human_bytes(state.total) : human_count(state.total));
  if (!bytes) text += " photos";
  if (state.total > 0) text += fmt::format(" ({:.0f}%)", 100 * share(state));
  for (const std::string& part : {rate_text(state), left_text(state), state.extra}) {
    if (!part.empty()) text += ", " + part;
  }
  return text;
}

Progress::Progress(Console& console, std::string title, Unit unit) : console_(console), utf8_(locale_is_utf8()), drawn_(Clock::now()) {
  state_.title = std::move(title);
  state_.unit = unit;
  if (console_.terminal()) drawn_ -= kRedrawEvery;
}

Progress::~Progress() { console_.set_live(""); }

void Progress::measure(std::int64_t done, Clock::time_point now) {
  if (!started_ || done < first_done_) {
    started_ = now;
    first_done_ = done;
  }
  const double seconds = std::chrono::duration<double>(now - *started_).count();
  state_.rate = seconds > 0.2 ? static_cast<double>(done - first_done_) / seconds : 0;
}

void Progress::update(std::int64_t done, std::int64_t total, std::string_view extra) {
  if (console_.verbosity() == Verbosity::kQuiet) return;
  const Clock::time_point now = Clock::now();
  measure(done, now);
  state_.done = done;
  state_.total = total;
  state_.extra = extra;
  if (console_.terminal()) {
    if (now - drawn_ < kRedrawEvery && done != total) return;
    console_.set_live(draw_bar(state_, console_.columns(), utf8_));
  } else {
    if (now - drawn_ < kPlainLineEvery) return;
    console_.say(plain_progress(state_));
  }
  drawn_ = now;
}

}  // namespace headstart::cli
