// Who of the group is alive and what has become of the others: every rank writes a record to rank 0's store once a second, on a thread of
// its own, and reads the others'. So a rank that hangs, is stopped or lost its network is missed even though its connections stay open, and
// a rank that fails says why before it goes.
//
// Thread-safety: all members from one thread; the thread of its own is inside. Errors: check() throws PeerFailure.
#pragma once

#include <memory>
#include <string>

#include "headstart/distributed.h"
#include "headstart/error.h"
#include "train/transport.h"

namespace headstart {

// Another rank's end, seen from here: the category and the reason that it gave, or kNetwork when it is gone without a word.
class PeerFailure : public Error {
 public:
  PeerFailure(ErrorCategory category, const std::string& message, bool store_is_lost = false)
      : Error(category, message), store_is_lost_(store_is_lost) {}
  bool store_is_lost() const { return store_is_lost_; }  // rank 0 is gone: nobody else will report

 private:
  bool store_is_lost_;
};

class RollCall {
 public:
  // Waits until every rank has written its record. Throws Error(kNetwork) naming the ranks that did not come.
  RollCall(std::unique_ptr<Store> store, const Distributed& group, const Poll& poll);
  ~RollCall();
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;

  // Throws PeerFailure when a rank has failed, or was silent for silence_seconds.
  void check();
  // A connection broke: looks for some seconds for the rank whose end it was.
  [[noreturn]] void explain(const std::string& what);

  void ask_to_stop();
  bool stop_asked() const;  // by any rank

  // The last words: the record is written before these return, unless the store is gone. True when it was written.
  bool say_done();
  bool say_failed(const Error& error);
  // Rank 0 keeps the store open for them; others have none that must wait.
  bool is_done(int rank) const;
  void wait_until_all_left(double seconds) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace headstart
