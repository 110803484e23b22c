#include "race.h"

// The race build. Its kernels are instrumented (instrumented.cpp). Cells of shadow memory record who read and wrote a
// place, and after which barrier. Blocks run one after the other, so that an error does not depend on luck. The build
// finds: reads and writes of two threads with no barrier between them, reads of shared memory that nobody wrote, reads
// of and writes to a cp.async's destination before the wait, by instructions, ldmatrix and other cp.async, and, in a
// launch that may begin before others are done, what conflicts with them before its wait: any write to global memory,
// and reads of what a kernel wrote.
//
// Only atomics between fences order the global memory of two blocks A and B. A thread of A writes. Then it calls
// __threadfence(), or it passes a barrier and another thread of A calls it. Then A updates a place atomically, and
// later B updates the same place atomically. From then on A's writes are ordered for the thread of B that made the
// update, and after B's next barrier for all threads of B.

#ifdef FLOW_EMULATOR_RACE

#include <dlfcn.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "block.h"
#include "global_memory.h"
#include "instrumented.h"

namespace emu {
namespace {

using Place = std::uint32_t;  // see `place_of`
constexpr Place site_bit = 1U << 31;

constexpr std::uint16_t several_lanes = 0x8000;  // flag beside the warp's number: more than one lane read
constexpr std::uint16_t several_warps = 0xffff;

struct Trace {
  std::uint32_t epoch = 0;  // of the barrier before the access; it also identifies the block
  Place place = 0;
  std::uint16_t thread = 0;
  std::uint16_t warp_epoch = 0;
};

struct Cell {
  Trace write, read;
  bool pending = false;  // the write is a cp.async, and nobody waited for it yet
  bool atomic = false;
};

/// The system zeroes the memory on demand, so a large memory costs only the part that is used.
class Cells {
 public:
  explicit Cells(std::size_t count) : bytes_(std::max<std::size_t>(count, 1) * sizeof(Cell)) {
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    cells_ = static_cast<Cell*>(p);
  }
  ~Cells() { munmap(cells_, bytes_); }
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;
  Cell& operator[](std::size_t i) { return cells_[i]; }

 private:
  std::size_t bytes_;
  Cell* cells_;
};

struct Global {
  explicit Global(std::size_t size) : bytes(size), cells(size + 1) {}
  std::size_t bytes;
  Cells cells;
};

/// The fences of one block: the epochs whose writes they cover.
struct Fences {
  std::uint32_t everyone = 0;         // up to this epoch, the writes of all threads
  std::vector<std::uint32_t> thread;  // and up to these, each thread's own writes
};

struct Acquired {
  std::uint32_t everyone;
  const Fences* fences;
  std::uint32_t epoch;  // when it was acquired, and by which thread of this block
  unsigned thread;
};

/// The order of the blocks of one launch, as far as it is known. A block is named by its first epoch.
struct Order {
  std::uint32_t launch = 0, block = 0;
  std::vector<std::uint32_t> blocks;
  std::map<std::uint32_t, Fences> fences;
  std::unordered_map<const void*, std::map<std::uint32_t, std::uint32_t>> released;  // place, block: Fences::everyone
  std::map<std::uint32_t, Acquired> acquired;                                        // by the current block

  void follow(const Block& b) {
    if (launch != b.launch_epoch()) {
      *this = {};
      launch = b.launch_epoch();
    }
    if (block != b.block_epoch()) {
      block = b.block_epoch();
      blocks.push_back(block);
      acquired.clear();
    }
  }
};

Cells shared_cells((std::size_t{228} << 10));
std::map<std::uintptr_t, Global> global_memory;
Order order;

// ---- places ------------------------------------------------------------------------------------------------------

std::vector<Site>& sites() {
  static std::vector<Site> all;
  return all;
}

Place place_of(const Site& site) {
  static std::map<std::pair<const char*, int>, Place> known;
  const auto [entry, added] =
      known.emplace(std::pair(site.file, site.line), site_bit | static_cast<Place>(sites().size()));
  if (added) sites().push_back(site);
  return entry->second;
}

Dl_info library() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&place_of), &info);
  return info;
}

/// Kernels are in the same library or program as this file.
Place place_of(const void* code) {
  static const auto base = reinterpret_cast<std::uintptr_t>(library().dli_fbase);
  return static_cast<Place>(reinterpret_cast<std::uintptr_t>(code) - base);
}

/// "gemm_core.cuh:101 in gemm.cu:42": the line, and the lines that it was inlined into.
std::string text_of(Place place) {
  if ((place & site_bit) != 0) {
    const Site& site = sites()[place & ~site_bit];
    return format("%s:%d", site.file, site.line);
  }
  const Dl_info info = library();
  // The debug information of programs that are not position-independent has absolute addresses.
  const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  const std::uintptr_t address = place - 1 + (base == 0x400000 ? base : 0);
  const std::string command =
      format("addr2line -s -i -e '%s' 0x%zx 2>/dev/null", info.dli_fname, static_cast<std::size_t>(address));
  std::string text, last;
  if (FILE* lines = popen(command.c_str(), "r")) {
    for (char line[512]; std::fgets(line, sizeof line, lines) != nullptr;) {
      line[std::strcspn(line, " \n")] = 0;
      if (last == line) continue;
      last = line;
      text += (text.empty() ? "" : " in ") + last;
    }
    pclose(lines);
  }
  return text.empty() ? format("0x%x", place) : text;
}

// ---- order -------------------------------------------------------------------------------------------------------

unsigned warp_of(std::uint16_t thread) {
  if (thread == several_warps) return ~0U;
  return (thread & several_lanes) != 0 ? thread & ~unsigned{several_lanes} : thread / warp_lanes;
}

/// Whether fences order an access by a thread of an earlier block before this thread's access.
bool ordered_by_fences(const Block& b, const Trace& before) {
  const std::uint32_t other = *std::prev(std::upper_bound(order.blocks.begin(), order.blocks.end(), before.epoch));
  const auto found = order.acquired.find(other);
  if (found == order.acquired.end()) return false;
  const Acquired& a = found->second;
  if (b.fiber->linear != a.thread && b.epoch() <= a.epoch) return false;
  if (before.epoch <= a.everyone) return true;
  return before.thread < a.fences->thread.size() && before.epoch <= a.fences->thread[before.thread];
}

bool ordered(const Block& b, const Trace& before, bool shared) {
  if (before.epoch < b.launch_epoch()) return true;
  if (before.epoch < b.block_epoch()) return shared || ordered_by_fences(b, before);
  const unsigned thread = b.fiber->linear;
  if (before.epoch != b.epoch() || before.thread == thread) return true;
  const auto warp_epoch = static_cast<std::uint16_t>(const_cast<Block&>(b).warp().epoch);
  return warp_of(before.thread) == thread / warp_lanes && before.warp_epoch != warp_epoch;
}

void follow_atomic(const Block& b, const void* p) {
  order.follow(b);
  auto& released = order.released[p];
  for (const auto& [block, everyone] : released) {
    if (block == order.block) continue;
    order.acquired.emplace(block, Acquired{everyone, &order.fences[block], b.epoch(), b.fiber->linear});
  }
  if (const auto own = order.fences.find(order.block); own != order.fences.end()) {
    released[order.block] = own->second.everyone;
  }
}

// ---- accesses ----------------------------------------------------------------------------------------------------

[[noreturn]] void fail_at(Block& b, const char* what, bool shared, std::size_t offset, Place here,
                          const Trace* other = nullptr) {
  std::string text = format("%s: byte %zu of %s memory, by thread %u at %s", what, offset,
                            shared ? "shared" : "a global allocation's", b.fiber->linear, text_of(here).c_str());
  if (other != nullptr) {
    const unsigned warp = warp_of(other->thread);
    const std::string who = warp == ~0U                            ? "threads of several warps"
                            : (other->thread & several_lanes) != 0 ? format("lanes of warp %u", warp)
                                                                   : format("thread %u", unsigned{other->thread});
    text += format("; %s%s at %s", who.c_str(), other->epoch < b.block_epoch() ? " of another block" : "",
                   text_of(other->place).c_str());
  }
  b.fail(std::move(text));
}

void note(Block& b, Cell& cell, Access access, bool shared, std::size_t offset, Place place) {
  const auto thread = static_cast<std::uint16_t>(b.fiber->linear);
  const Trace now{b.epoch(), place, thread, static_cast<std::uint16_t>(b.warp().epoch)};
  const bool in_this_block = cell.write.epoch >= b.block_epoch();
  const bool both_atomic = access == Access::atomic && cell.atomic;
  if (!shared && !b.fiber->follows) {
    if (access != Access::read) fail_at(b, "write before the wait for other launches", shared, offset, place);
    if (cell.write.epoch != 0)
      fail_at(b, "read of a kernel's result before the wait for other launches", shared, offset, place, &cell.write);
  }
  if (cell.pending && in_this_block && access != Access::async_end) {
    const char* const what =
        access == Access::read ? "read before the wait for cp.async" : "write before the wait for cp.async";
    fail_at(b, what, shared, offset, place, &cell.write);
  }
  if (access == Access::read && shared && !in_this_block) {
    fail_at(b, "read of uninitialised memory", shared, offset, place);
  }
  if (cell.write.epoch != 0 && !both_atomic && !ordered(b, cell.write, shared)) {
    fail_at(b, access == Access::read ? "race: read after an unsynchronised write" : "race: two unsynchronised writes",
            shared, offset, place, &cell.write);
  }
  if (access == Access::read) {
    Trace& read = cell.read;
    const bool joins = read.epoch == now.epoch && read.thread != thread && !ordered(b, read, shared);
    const bool same_warp = joins && warp_of(read.thread) == warp_of(thread);
    read = now;
    if (joins)
      read.thread = same_warp ? static_cast<std::uint16_t>(several_lanes | thread / warp_lanes) : several_warps;
    return;
  }
  if (cell.read.epoch != 0 && !both_atomic && !ordered(b, cell.read, shared)) {
    fail_at(b, "race: write after an unsynchronised read", shared, offset, place, &cell.read);
  }
  cell.write = now;
  cell.pending = access == Access::async_write;
  cell.atomic = access == Access::atomic;
}

void note_all(const void* p, std::size_t bytes, Access access, Place place) {
  Block* const b = current;
  if (b == nullptr || b->fiber == nullptr || bytes == 0 || b->stacks().contains(p)) return;
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  if (const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(b->shared); offset < b->shared_bytes) {
    const std::size_t end = std::min<std::size_t>(offset + bytes, b->shared_bytes);
    for (std::size_t i = offset; i < end; i++) note(*b, shared_cells[i], access, true, i, place);
    if (end != offset + bytes) fail_at(*b, "out of bounds", true, end, place);
    return;
  }
  auto next = global_memory.upper_bound(address);
  if (next == global_memory.begin()) return;
  auto& [start, memory] = *std::prev(next);
  const std::size_t offset = address - start;
  if (offset >= memory.bytes) return;
  if (bytes > memory.bytes - offset) fail_at(*b, "out of bounds", false, memory.bytes, place);
  order.follow(*b);
  for (std::size_t i = offset; i < offset + bytes; i++) {
    note(*b, memory.cells[i], access, false, i, place);
  }
}

}  // namespace

void add_global_memory(const void* p, std::size_t bytes) {
  global_memory.try_emplace(reinterpret_cast<std::uintptr_t>(p), bytes);
}

void remove_global_memory(const void* p) { global_memory.erase(reinterpret_cast<std::uintptr_t>(p)); }

void note_access(const void* p, std::size_t bytes, Access access) {
  if (access == Access::atomic) follow_atomic(*current, p);
  note_all(p, bytes, access, place_of(current->fiber->site));
}

bool is_global(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  const auto next = global_memory.upper_bound(address);
  if (next == global_memory.begin()) return false;
  const auto& [start, memory] = *std::prev(next);
  return address - start < memory.bytes;
}

void note_fence() {
  const Block& b = *current;
  order.follow(b);
  Fences& fences = order.fences[order.block];
  fences.everyone = b.epoch() - 1;
  if (fences.thread.empty()) fences.thread.resize(max_block_threads);
  fences.thread[b.fiber->linear] = b.epoch();
}

void note_instrumented(const void* p, std::size_t bytes, Access access, const void* code) {
  note_all(p, bytes, access, place_of(code));
}

}  // namespace emu

#endif
