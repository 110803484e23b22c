#include "cpu/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>

#ifdef __linux__
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flow::cpu {

namespace {

void cpu_pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // yield does nothing on most cores
#endif
}

// Of ThreadPool::state_. The number wraps; a worker that slept through all of them would miss a loop, which is allowed.
constexpr std::uint32_t joined_bits = 0xff, open_bit = 1U << 8, asleep_bit = 1U << 9, one_loop = 1U << 10;
static_assert(ThreadPool::max_threads - 1 <= joined_bits);

/// How long a waiting thread spins before it sleeps.
constexpr std::chrono::microseconds spin_time{50};

/// Spins until `done()` is true or the spin time is over. Returns whether `done()` is true.
template <class Done>
bool spin_until(const Done& done) {
  const auto deadline = std::chrono::steady_clock::now() + spin_time;
  for (;;) {
    for (int i = 0; i < 64; i++) {
      if (done()) return true;
      cpu_pause();
    }
    if (std::chrono::steady_clock::now() > deadline) return false;
  }
}

#ifdef __linux__

int read_int(const std::string& path, int otherwise) {
  std::ifstream file(path);
  int value = otherwise;
  return file >> value ? value : otherwise;
}

/// CPUs' worth of time that the container allows (cgroup v2's cpu.max, v1's cfs_quota_us); max_threads if there is no
/// limit.
int container_cpus() {
  double quota = 0, period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  if (!(v2 >> quota >> period)) {
    quota = read_int("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", 0);
    period = read_int("/sys/fs/cgroup/cpu/cpu.cfs_period_us", 0);
  }
  if (quota <= 0 || period <= 0) return ThreadPool::max_threads;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

#endif

}  // namespace

int physical_cores() {
  int count = std::max(1U, std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    // A core is known by the list of its hardware threads: core numbers repeat from cluster to cluster.
    std::set<std::string> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
      std::string threads = std::to_string(cpu);
      for (const char* list : {"core_cpus_list", "thread_siblings_list"}) {
        if (std::ifstream file(topology + list); std::getline(file, threads)) break;
      }
      cores.insert(threads);
    }
    if (!cores.empty()) count = static_cast<int>(cores.size());
  }
  count = std::min(count, container_cpus());
#endif
  return std::min(count, ThreadPool::max_threads);
}

FlushDenormals::FlushDenormals() {
#if defined(__x86_64__)
  saved_ = _mm_getcsr();
  _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040U);  // FTZ and DAZ
#elif defined(__aarch64__)
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" ::"r"(saved_ | (1ULL << 24)));  // FZ
#else
  saved_ = 0;
#endif
}

FlushDenormals::~FlushDenormals() {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(saved_));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(saved_));
#endif
}

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<std::size_t>(threads) - 1);
  try {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {  // the system has no more threads: end those already started
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stop_ = true;
  state_ += one_loop;
  state_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::take_items(int thread) {
  for (int item = next_.fetch_add(1); item < items_; item = next_.fetch_add(1)) call_(task_, item, thread);
}

void ThreadPool::run_all(int items, Call call, const void* task) {
  const FlushDenormals flush;
  call_ = call;
  task_ = task;
  items_ = items;
  next_ = 0;
  if (items <= 1 || workers_.empty()) return take_items(0);
  state_ = ((state_ & ~(one_loop - 1)) + one_loop) | open_bit;
  state_.notify_all();
  take_items(0);
  state_ &= ~open_bit;
  if (spin_until([&] { return (state_ & joined_bits) == 0; })) return;
  // A worker has lost its processor in the middle of an item. It may need this one.
  for (std::uint32_t state = state_ |= asleep_bit; (state & joined_bits) != 0; state = state_) state_.wait(state);
}

/// Takes part in the loop that is open, unless `seen` is its number. Returns whether it does.
bool ThreadPool::join(std::uint32_t& seen) {
  std::uint32_t state = state_;
  while ((state & open_bit) != 0 && state / one_loop != seen) {
    if (state_.compare_exchange_weak(state, state + 1)) {
      seen = state / one_loop;
      return true;
    }
  }
  return false;
}

void ThreadPool::leave() {
  const std::uint32_t state = --state_;
  if ((state & joined_bits) == 0 && (state & asleep_bit) != 0) state_.notify_all();
}

void ThreadPool::work(int thread) {
  const FlushDenormals flush;
  std::uint32_t seen = 0;
  const auto is_due = [&] { return stop_ || join(seen); };
  for (;;) {
    if (!spin_until(is_due)) {
      for (std::uint32_t state = state_; !is_due(); state = state_) state_.wait(state);
    }
    if (stop_) return;
    take_items(thread);
    leave();
  }
}

}  // namespace flow::cpu
