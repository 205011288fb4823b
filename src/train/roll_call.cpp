#include "train/roll_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "headstart/text.h"

namespace headstart {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kMissedBeats = 5;  // a rank that misses so many while its connections are closed has ended

// What a rank says of itself.
struct Record {
  std::int64_t beat = 0;
  bool stop = false;  // it was asked to stop
  bool done = false;  // it has nothing more to do with the others
  int category = 0;   // of its failure; 0: none
  std::string message;
};

std::string to_text(const Record& record) {
  return nlohmann::json{{"beat", record.beat},
                        {"stop", record.stop},
                        {"done", record.done},
                        {"category", record.category},
                        {"message", valid_utf8(record.message)}}
      .dump();
}

Record record_from(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  return {json.at("beat"), json.at("stop"), json.at("done"), json.at("category"), json.at("message")};
}

struct Peer {
  Record record;
  Clock::time_point heard;  // of a new beat
};

Error absent_ranks(Store& store, const std::vector<std::string>& keys, const Distributed& group) {
  std::vector<std::string> absent;
  for (const std::string& key : keys) {
    if (!store.has({key})) absent.push_back(key.substr(key.find('/') + 1));
  }
  return {
      ErrorCategory::kNetwork,
      fmt::format("rank {} waited {:.0f} s at {}:{} for {} of {} processes that did not come: rank {}; start them, or correct WORLD_SIZE",
                  group.rank, group.join_seconds, group.master_address, group.master_port, absent.size(), keys.size(), join_some(absent))};
}

}  // namespace

struct RollCall::State {
  Distributed group;
  std::unique_ptr<Store> store;  // the thread's, once it runs
  std::vector<std::string> keys;
  Seconds interval;

  mutable std::mutex mutex;  // guards the rest
  std::condition_variable changed;
  Record own;
  std::vector<Peer> peers;
  Clock::time_point last_round;
  std::optional<Clock::time_point> stale_since;
  bool news = false;  // in the own record: the next round is due at once
  bool leaving = false, ended = false, store_is_lost = false;
  std::int64_t written = 0;  // the last beat that reached the store

  void round();
  void run();
  bool say(const std::function<void(Record&)>& change);
  PeerFailure is_gone(int rank, const std::string& how, bool store_lost = false) const {
    return {ErrorCategory::kNetwork,
            fmt::format("rank {} of {} is gone: {}; the last checkpoint is kept, go on with --resume", rank, group.world_size, how),
            store_lost};
  }
  PeerFailure rank_0_is_gone() const {
    return is_gone(0, fmt::format("the store that it keeps at {}:{} does not answer", group.master_address, group.master_port), true);
  }
};

void RollCall::State::round() {
  std::string text;
  std::int64_t beat = 0;
  {
    const std::lock_guard lock(mutex);
    beat = ++own.beat;
    news = false;
    text = to_text(own);
  }
  store->set(keys[static_cast<std::size_t>(group.rank)], text);
  const std::vector<std::string> texts = store->get(keys);
  const std::lock_guard lock(mutex);
  const Clock::time_point now = Clock::now();
  // This process itself was stopped for a while (Ctrl-Z): the others get their time anew.
  const bool slept = now - last_round > 5 * interval;
  for (std::size_t rank = 0; rank < peers.size(); ++rank) {
    Record record = record_from(texts[rank]);
    if (slept || record.beat != peers[rank].record.beat) peers[rank].heard = now;
    peers[rank].record = std::move(record);
  }
  written = beat;
  last_round = now;
  changed.notify_all();
}

void RollCall::State::run() {
  std::unique_lock lock(mutex);
  while (!leaving) {
    lock.unlock();
    bool reached = true;
    try {
      round();
    } catch (const std::exception&) {  // the connection to the store broke
      reached = false;
    }
    lock.lock();
    if (!reached) {
      store_is_lost = true;
      break;
    }
    changed.wait_for(lock, interval, [this] { return leaving || news; });
  }
  ended = true;
  changed.notify_all();
}

// Changes the own record and waits until a round has written it.
bool RollCall::State::say(const std::function<void(Record&)>& change) {
  std::unique_lock lock(mutex);
  change(own);
  news = true;
  const std::int64_t next_beat = own.beat + 1;
  changed.notify_all();
  changed.wait_for(lock, std::chrono::seconds(5), [&] { return written >= next_beat || ended; });
  return written >= next_beat;
}

RollCall::RollCall(std::unique_ptr<Store> store, const Distributed& group, const Poll& poll) : state_(std::make_shared<State>()) {
  State& state = *state_;
  state.group = group;
  state.interval = std::min(Seconds(1), Seconds(group.silence_seconds / 10));
  for (int rank = 0; rank < group.world_size; ++rank) state.keys.push_back(fmt::format("rank/{}", rank));
  store->set(state.keys[static_cast<std::size_t>(group.rank)], to_text(state.own));
  const Clock::time_point deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(group.join_seconds));
  while (!store->has(state.keys)) {
    if (Clock::now() > deadline) throw absent_ranks(*store, state.keys, group);
    poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  state.store = std::move(store);
  state.peers.assign(state.keys.size(), {.record = {}, .heard = Clock::now()});
  state.last_round = Clock::now();
  std::thread([shared = state_] { shared->run(); }).detach();  // it may hang in a store that does not answer; the state outlives it
}

RollCall::~RollCall() {
  std::unique_lock lock(state_->mutex);
  state_->leaving = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, std::chrono::seconds(2), [this] { return state_->ended; });
}

void RollCall::check() {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  const Clock::time_point now = Clock::now();
  const Seconds silence(state.group.silence_seconds);
  for (std::size_t rank = 0; rank < state.peers.size(); ++rank) {
    const Record& record = state.peers[rank].record;
    if (static_cast<int>(rank) == state.group.rank || record.category == 0) continue;
    throw PeerFailure(static_cast<ErrorCategory>(record.category), fmt::format("rank {}: {}", rank, record.message));
  }
  if (state.store_is_lost) throw state.rank_0_is_gone();
  for (std::size_t rank = 0; rank < state.peers.size(); ++rank) {
    const Peer& peer = state.peers[rank];
    if (static_cast<int>(rank) == state.group.rank || peer.record.done || now - peer.heard <= silence) continue;
    if (now - state.last_round > 2 * state.interval) continue;  // it is this rank that hears nothing
    throw state.is_gone(static_cast<int>(rank), fmt::format("it was not heard of for {:.0f} s", silence.count()));
  }
  // A store that does not answer. Seen twice: after a stop of this process itself, the thread needs a moment for a new round.
  if (now - state.last_round <= silence) {
    state.stale_since.reset();
  } else if (!state.stale_since) {
    state.stale_since = now;
  } else if (now - *state.stale_since > 3 * state.interval) {
    throw state.rank_0_is_gone();
  }
}

void RollCall::explain(const std::string& what) {
  State& state = *state_;
  const Clock::time_point began = Clock::now();
  while (Clock::now() - began < kMissedBeats * state.interval) {
    check();
    std::this_thread::sleep_for(state.interval / 10);
  }
  const std::lock_guard lock(state.mutex);
  const auto longest =
      std::min_element(state.peers.begin(), state.peers.end(), [](const Peer& a, const Peer& b) { return a.heard < b.heard; });
  const int rank = static_cast<int>(longest - state.peers.begin());
  if (rank != state.group.rank && longest->heard < began + state.interval) throw state.is_gone(rank, "its connection was closed");
  throw Error(ErrorCategory::kNetwork,
              fmt::format("rank {}: the connection to another rank broke, though all of them are alive: {}", state.group.rank, what));
}

void RollCall::ask_to_stop() {
  const std::lock_guard lock(state_->mutex);
  if (std::exchange(state_->own.stop, true)) return;
  state_->news = true;
  state_->changed.notify_all();
}

bool RollCall::stop_asked() const {
  const std::lock_guard lock(state_->mutex);
  return state_->own.stop || std::any_of(state_->peers.begin(), state_->peers.end(), [](const Peer& peer) { return peer.record.stop; });
}

bool RollCall::say_done() {
  return state_->say([](Record& own) { own.done = true; });
}

bool RollCall::say_failed(const Error& error) {
  return state_->say([&](Record& own) {
    own.category = static_cast<int>(error.category());
    own.message = error.what();
  });
}

bool RollCall::is_done(int rank) const {
  const std::lock_guard lock(state_->mutex);
  return state_->peers[static_cast<std::size_t>(rank)].record.done;
}

void RollCall::wait_until_all_left(double seconds) const {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  const auto has_left = [&state](const Peer& peer) {
    return peer.record.done || peer.record.category != 0 || Clock::now() - peer.heard > kMissedBeats * state.interval;
  };
  state.changed.wait_for(lock, Seconds(seconds),
                         [&] { return state.ended || std::all_of(state.peers.begin(), state.peers.end(), has_left); });
}

}  // namespace headstart
