#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "cuda/driver_api.h"

// Work that streams have not done yet. The driver runs it in the calling thread, some of it whenever work is submitted,
// and as much as is needed when the caller waits. EMULATOR_STREAMS says how much, and is read at every submission:
//
//   (unset)   all of it at once
//   late      only what the caller waits for
//   a number  the seed of a random choice among all work that may run
//
// Work may run once the work before it in its stream has run, and all work that its stream was told to wait for. Memory
// of the host, pageable memory included, is read and written when a copy runs. A real driver may have copied pageable
// memory before, but need not (CUDA Driver API, "API synchronization behavior").

namespace emu {

/// Work of a stream. If it runs at once, its error is the call's; if it runs later, the context's.
using Operation = std::function<flow::cuda::CUresult()>;

class Queue;

/// The end of a piece of work.
struct Point {
  std::shared_ptr<Queue> queue;  // null once the work is done

  bool is_passed() const { return queue == nullptr; }
};
using PointPtr = std::shared_ptr<Point>;

/// The work of one stream, in order. It may outlive the stream.
class Queue {
 public:
  /// `blocking`: it and the legacy default stream wait for each other.
  explicit Queue(bool blocking) : blocking(blocking) {}

  const bool blocking;

 private:
  friend class Queues;
  struct Work {
    Operation operation;
    std::vector<PointPtr> after;  // of other streams
    PointPtr end;
  };

  std::deque<Work> work_;
  unsigned asleep_ = 0;  // steps in which the random choice leaves this queue out
};
using QueuePtr = std::shared_ptr<Queue>;

/// All queues of a context that have work.
class Queues {
 public:
  /// The work's error becomes `error`, and ends all later work.
  explicit Queues(flow::cuda::CUresult& error) : error_(error) {}

  /// Whether work that is submitted now runs at once. If so, all work before it has run.
  bool at_once();
  /// Adds work that runs after the points, and runs as much as EMULATOR_STREAMS says. Returns the work's end.
  PointPtr add(const QueuePtr& queue, std::vector<PointPtr> after, Operation operation);
  /// The end of the last work of that queue; null if it has none.
  static PointPtr end_of(const Queue& queue);
  /// The ends of the last works of all queues that are blocking.
  std::vector<PointPtr> ends_of_blocking() const;

  /// Which of `count` nodes of a graph runs next, where any of them may: the first, the last, or a random one.
  std::size_t choose(std::size_t count);

  /// Runs what a caller need not wait for.
  void run_some();
  void run_until(const PointPtr& point);
  void run_all();

 private:
  bool may_run(const Queue& queue) const;
  void run_front(const QueuePtr& queue);
  std::uint64_t random();

  flow::cuda::CUresult& error_;
  std::vector<QueuePtr> busy_;
  std::uint64_t seed_ = 0;
  std::mt19937_64 generator_;
};

}  // namespace emu
