#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace flow::cpu {

/// Physical cores that this process may run on: its affinity mask and, in a container, its share of CPU time.
int physical_cores();

/// Threads that run loops. The caller of `run` is one of them. A thread without work spins for some microseconds, since
/// the stages of a network follow each other closely, and then sleeps.
///
/// Nobody waits for a worker that has not begun: where other programs need the processor, a worker may come
/// milliseconds late, and the others have done its part.
class ThreadPool {
 public:
  /// The largest number of threads that is of use.
  static constexpr int max_threads = 256;

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls task(item, thread) for every item of [0, items), in any order, on all threads. Returns when all are done.
  /// `task` must not throw. Two threads must not call `run` at once.
  template <class Task>
  void run(int items, const Task& task) {
    run_all(
        items, [](const void* t, int item, int thread) { (*static_cast<const Task*>(t))(item, thread); }, &task);
  }

 private:
  using Call = void (*)(const void* task, int item, int thread);

  void run_all(int items, Call call, const void* task);
  void stop();
  void work(int thread);
  bool join(std::uint32_t& seen);
  void leave();
  void take_items(int thread);

  alignas(64) std::atomic<int> next_{0};
  int items_ = 0;
  Call call_ = nullptr;
  const void* task_ = nullptr;
  /// From the lowest bit: the workers that take part in the loop, whether others may still join it, whether the caller
  /// sleeps until they have left, and the loop's number. One word, so that none joins a loop that has ended, and no
  /// mutex, which a worker could hold while it has lost its processor.
  alignas(64) std::atomic<std::uint32_t> state_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

/// While the object lives, this thread reads and writes denormals as zero. They cost a hundred times a normal number
/// and carry nothing here.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned long long saved_;
};

}  // namespace flow::cpu
