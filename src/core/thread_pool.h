// A fixed set of worker threads with one queue.
//
// Zero threads is the plain serial path: submit() runs the task at once on the caller. Thread-safety: submit() may be called from any
// thread. Tasks report failure through their future. The destructor finishes the tasks that were submitted.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace headstart {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::future<void> submit(std::function<void()> task);
  int size() const { return static_cast<int>(workers_.size()); }

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::packaged_task<void()>> queue_;
  bool closing_ = false;
  std::vector<std::thread> workers_;
};

// Cores that this process may use (affinity mask, container quota); at least 1.
int available_cores();

// `threads` when positive, else available_cores().
int resolve_threads(int threads);

}  // namespace headstart
