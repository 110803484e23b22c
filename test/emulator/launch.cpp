#include "launch.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "block.h"
#include "count.h"

namespace emu {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(FLOW_EMULATOR_RACE) || defined(FLOW_EMULATOR_COUNT)
constexpr bool one_thread = true;
#else
constexpr bool one_thread = false;
#endif

unsigned threads_wanted() {
  if (one_thread) return 1;
  const char* text = std::getenv("EMULATOR_THREADS");
  const int wanted = text == nullptr ? static_cast<int>(std::thread::hardware_concurrency()) : std::atoi(text);
  return static_cast<unsigned>(std::clamp(wanted, 1, 64));
}

/// The blocks of one launch. A free thread takes the next one.
struct Work {
  const Launch& launch;
  std::uint64_t blocks;
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  std::string error;  // the first error

  void run_blocks(Block& block) {
    block.prepare(launch);
    for (std::uint64_t i; (i = next.fetch_add(1)) < blocks;) {
      // Half of the schedules take the last block first.
      if (block.run(launch.schedule.early_copies() ? blocks - 1 - i : i)) continue;
      next = blocks;
      const std::lock_guard lock(mutex);
      if (error.empty()) error = block.error();
    }
  }
};

/// Threads that wait for work. The pool is never destroyed: at the end of the process its threads just stop.
class Pool {
 public:
  void run(Work& work, unsigned threads) {
    threads = static_cast<unsigned>(std::min<std::uint64_t>(threads, work.blocks));
    while (blocks_.size() < threads) {
      blocks_.push_back(std::make_unique<Block>());
      if (const auto n = static_cast<unsigned>(blocks_.size()) - 1; n > 0) {
        std::thread([this, n, block = blocks_[n].get()] { help(n, *block); }).detach();
      }
    }
    if (threads > 1) {
      const std::lock_guard lock(mutex_);
      work_ = &work;
      helpers_ = running_ = threads - 1;
      round_++;
      wake_.notify_all();
    }
    work.run_blocks(*blocks_[0]);
    if (threads > 1) {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [this] { return running_ == 0; });
    }
  }

 private:
  void help(unsigned number, Block& block) {
    for (std::uint64_t seen = 0;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return round_ != seen && number <= helpers_; });
      seen = round_;
      Work* const work = work_;
      lock.unlock();
      work->run_blocks(block);
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::vector<std::unique_ptr<Block>> blocks_;  // block 0 is the caller's
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Work* work_ = nullptr;
  unsigned helpers_ = 0, running_ = 0;
  std::uint64_t round_ = 0;
};

Pool& pool() {
  static auto* const instance = new Pool;
  return *instance;
}

}  // namespace

void check_configuration(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                         std::size_t shared_limit) {
  const auto refuse = [&](const std::string& why) { throw ConfigurationError(why + " [" + kernel.name + "]"); };
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > max_block_threads) {
    refuse(format("a block of %u x %u x %u threads", block.x, block.y, block.z));
  }
  if (threads > kernel.max_threads) {
    refuse(format("a block of %u threads, built for %u at most", static_cast<unsigned>(threads), kernel.max_threads));
  }
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) {
    refuse(format("a grid of %u x %u x %u blocks", grid.x, grid.y, grid.z));
  }
  if (shared_bytes > shared_limit) {
    refuse(format("%zu bytes of shared memory, of %zu at most", shared_bytes, shared_limit));
  }
}

void launch(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const void* parameters, bool ampere,
            Begin begin) {
  const Launch launch{&kernel,    grid,
                      block,      shared_bytes,
                      parameters, Schedule::from_environment(),
                      ampere,     begin == Begin::before_previous_ends};
  check_configuration(kernel, grid, block, shared_bytes);
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  Work work{launch, std::uint64_t{grid.x} * grid.y * grid.z, {}, {}, {}};
  if (begin_counts(launch)) pool().run(work, threads_wanted());
  if (!work.error.empty()) throw Error(work.error);
  end_counts(launch);
}

}  // namespace emu
