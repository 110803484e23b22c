#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fiber.h"
#include "language.h"
#include "registry.h"

// One block of threads. Every thread is a fiber. It runs until it waits at a barrier or at an operation of its warp.
// The last lane to arrive does the work of all 32. The schedule chooses the next fiber.

// For functions that kernels call: the race build must not count their accesses as the kernel's own.
#define EMU_UNSEEN __attribute__((no_sanitize("thread")))
/// The caller's place, as default arguments.
#define EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace emu {

constexpr unsigned max_block_threads = 1024;
constexpr unsigned warp_lanes = 32;

/// Where a thread is, or was last seen.
struct Site {
  const char* what = nullptr;
  const char* file = nullptr;
  int line = 0;
};

struct Schedule {
  enum Order { forward, reverse, random } order = forward;
  std::uint64_t seed = 0;

  /// EMULATOR_SCHEDULE: forward, reverse, or the seed of a random one. Read at every launch.
  static Schedule from_environment();
  /// Whether asynchronous copies are done as early as allowed, and again as late as allowed. This holds for half of the
  /// schedules. The others copy late only.
  bool early_copies() const { return order == reverse || (order == random && seed % 2 == 1); }
};

/// A cp.async that is not done yet.
struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes, source_bytes;
};

struct alignas(64) Fiber {
  Context context;
  uint3 index{};
  unsigned linear = 0;
  Site site;
  int barrier_result = 0;
  bool follows = true;            // has waited for the launches before this one, or need not
  std::vector<AsyncCopy> copies;  // not yet done, oldest first
  std::vector<int> copy_groups;   // how many of them belong to each committed group
};

/// The work of a warp operation. `arguments` has one pointer for each lane of `mask`.
using WarpOperation = void (*)(void* const* arguments, std::uint32_t mask);

struct Warp {
  std::uint32_t ready = 0, alive = 0, at_barrier = 0, waiting = 0;  // a bit per lane
  std::uint32_t epoch = 0;                                          // counts the calls of __syncwarp
  struct {
    std::uint32_t mask;
    WarpOperation operation;
    void* argument;
  } lanes[warp_lanes];
};

/// One launch, as all of its blocks see it.
struct Launch {
  const Kernel* kernel;
  dim3 grid, block;
  std::size_t shared_bytes;
  const void* parameters;
  Schedule schedule;
  bool ampere;        // has the instructions of compute capability 8.0
  bool programmatic;  // may begin before the launches before it are done
};

/// Runs blocks, one after the other.
class Block {
 public:
  Block();
  ~Block();

  /// Call before the first block of a launch.
  void prepare(const Launch& launch);
  /// Runs block `number` of the grid. Returns false if it failed; see `error`.
  bool run(std::uint64_t number);
  const std::string& error() const { return error_; }

  /// The fiber that runs now; null between blocks.
  Fiber* fiber = nullptr;
  uint3 index{};
  dim3 block_dim, grid_dim;
  unsigned char* shared = nullptr;
  std::size_t shared_bytes = 0;
  bool ampere = true;

  Warp& warp() { return warps_[fiber->linear / warp_lanes]; }
  Schedule schedule() const { return schedule_; }
  const Stacks& stacks() const { return stacks_; }
  /// The number of barriers so far, over all blocks that this object has run.
  std::uint32_t epoch() const { return epoch_; }
  /// The epochs in which this block and this launch began.
  std::uint32_t block_epoch() const { return block_epoch_; }
  std::uint32_t launch_epoch() const { return launch_epoch_; }

  enum Reduction { count, all, any };
  int barrier(bool predicate, Reduction reduction, const char* what, const char* file, int line);
  /// Waits for the lanes of `mask`. When the last of them has arrived, `operation` is run once.
  void collective(WarpOperation operation, std::uint32_t mask, void* argument, const char* what, const char* file,
                  int line);
  /// Aborts the block: `run` returns false. The caller's stack is abandoned, so nothing on it may own memory.
  [[noreturn]] void fail(std::string&& message);

 private:
  friend void run_fiber();
  void start_fibers();
  void finish_fiber();
  void release_barrier();
  void yield();
  Fiber* next_ready(unsigned from);
  unsigned random(unsigned below);
  unsigned pick(std::uint32_t lanes);
  std::string deadlock_text() const;
  void check_shared_guard();

  Stacks stacks_;
  std::unique_ptr<Fiber[]> fibers_;
  Warp warps_[max_block_threads / warp_lanes];
  Context main_;
  const Kernel* kernel_ = nullptr;
  const void* parameters_ = nullptr;
  Schedule schedule_;
  bool programmatic_ = false;
  std::uint64_t random_ = 0;
  unsigned threads_ = 0, warp_count_ = 0, alive_ = 0, at_barrier_ = 0;
  int predicates_ = 0;
  Site barrier_site_;
  std::uint32_t epoch_ = 1, block_epoch_ = 1, launch_epoch_ = 1;
  std::string error_;
};

/// The block that this host thread runs, or null.
#ifdef __linux__
extern thread_local constinit Block* current __attribute__((tls_model("initial-exec")));
#else
extern thread_local constinit Block* current;
#endif

std::string format(const char* text, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emu
