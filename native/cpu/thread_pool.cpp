#include "cpu/thread_pool.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#ifdef __linux__
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flow::cpu {

namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// How often a waiting thread looks again before it sleeps: about 50 microseconds.
constexpr int spins = 2000;

int read_int(const std::string& path, int otherwise) {
  std::ifstream file(path);
  int value = otherwise;
  return file >> value ? value : otherwise;
}

/// CPUs' worth of time that the container allows (cgroup v2's cpu.max, v1's cfs_quota_us); a large number where there
/// is no limit.
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

}  // namespace

int physical_cores() {
  int count = std::max(1U, std::thread::hardware_concurrency());
#ifdef __linux__
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    std::set<std::pair<int, int>> cores;  // (package, core): two hardware threads of a core are one
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
      cores.emplace(read_int(topology + "physical_package_id", 0), read_int(topology + "core_id", cpu));
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
  } catch (...) {  // the system has no more threads: end those that there are
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    round_++;
  }
  wake_.notify_all();
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
  if (items > 1 && !workers_.empty()) {
    running_ = static_cast<int>(workers_.size());
    {
      const std::lock_guard lock(mutex_);
      round_++;
    }
    wake_.notify_all();
    take_items(0);
    for (int i = 0; running_.load() > 0; i++) {
      if (i < spins) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
  } else {
    take_items(0);
  }
}

void ThreadPool::work(int thread) {
  const FlushDenormals flush;
  unsigned seen = 0;
  for (;;) {
    for (int i = 0; i < spins && round_.load() == seen; i++) relax();
    if (round_.load() == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return round_.load() != seen; });
    }
    seen = round_.load();
    if (stop_) return;
    take_items(thread);
    running_.fetch_sub(1);
  }
}

}  // namespace flow::cpu
