// The thread pool of the CPU engine.

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <vector>

#include "check.h"
#include "cpu/thread_pool.h"

using namespace flow;

namespace {

const check::Register pool("a thread pool does every item once, however many there are", [] {
  for (const int threads : {1, 2, 5}) {
    cpu::ThreadPool workers(threads);
    for (const int items : {0, 1, 2, 7, 1000}) {
      for (int repeat = 0; repeat < 50; repeat++) {
        std::vector<std::atomic<int>> done(items);
        std::atomic<bool> known_threads = true;
        workers.run(items, [&](int item, int thread) {
          if (thread < 0 || thread >= threads) known_threads = false;
          done[item]++;
        });
        check::that(known_threads, "an item ran on a thread that does not exist");
        for (const auto& times : done) check::that(times == 1, "an item was done ", times.load(), " times");
      }
    }
  }
});

/// Keeps a thread from running, as other programs do that need its processor, until the object goes.
class Halt {
 public:
  explicit Halt(pthread_t thread) {
    check::that(pipe(ends_) == 0 && sem_init(&halted_, 0, 0) == 0, "no pipe");
    struct sigaction action = {};
    action.sa_handler = [](int) {
      sem_post(&halted_);
      char byte = 0;
      while (read(ends_[0], &byte, 1) < 0) continue;
    };
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    pthread_kill(thread, SIGUSR1);
    while (sem_wait(&halted_) != 0) continue;
  }
  ~Halt() {
    close(ends_[1]);  // its read ends
  }
  Halt(const Halt&) = delete;
  Halt& operator=(const Halt&) = delete;

 private:
  static inline int ends_[2];
  static inline sem_t halted_;
};

const check::Register late("nobody waits for a worker that has not begun", [] {
  cpu::ThreadPool pool(2);
  std::atomic<pthread_t> worker{};
  std::atomic<bool> known = false;
  // Each waits for the other: two threads do one item each.
  std::atomic<int> begun = 0;
  const auto meet = [&](int, int thread) {
    if (thread == 1) worker = pthread_self(), known = true;
    begun++;
    while (begun % 2 != 0) continue;
  };
  pool.run(2, meet);
  check::that(known, "no worker took part");
  {
    const Halt halt(worker);
    for (int loop = 0; loop < 100; loop++) {
      std::atomic<int> done = 0;
      pool.run(10, [&](int, int thread) { done += thread == 0 ? 1 : 100; });
      check::that(done == 10, done.load());
    }
  }
  known = false;
  pool.run(2, meet);
  check::that(known, "the worker never came back");
});

const check::Register cores("a machine has at least one core", [] {
  check::that(cpu::physical_cores() >= 1 && cpu::physical_cores() <= cpu::ThreadPool::max_threads,
              cpu::physical_cores());
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
