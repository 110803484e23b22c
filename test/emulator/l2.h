#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "requests.h"

namespace emu {

/// The caches between a kernel and memory, in sectors of 32 bytes:
///
///   - L2 holds EMULATOR_L2 bytes, keeps them from launch to launch, and drops the sector that came in first.
///   - A load brings a sector in from memory, a store only marks it; what is marked will be written back once.
///   - A block finds in L1 what it has loaded itself. cp.async, stores and atomics pass L1 by.
class L2 {
 public:
  void add_memory(std::uintptr_t start, std::size_t bytes);
  void remove_memory(std::uintptr_t start) { memory_.erase(start); }
  /// Whether p is in global memory.
  bool contains(std::uintptr_t p) const;

  /// `bytes` is the size of L2 from now on.
  void begin_launch(std::size_t bytes) {
    capacity_ = bytes / sector_bytes;
    before_launch_ = arrivals_;
  }
  /// A request for global memory. `block` is another number for every block.
  void access(const Request& request, std::uint32_t block, Counts& counts);

 private:
  static constexpr std::size_t sector_bytes = 32, line_bytes = 128;

  struct Sector {
    std::uint32_t arrival = 0;  // the number of its last arrival in L2; 0 if it never came
    std::uint32_t block = 0;    // that loaded it last
    std::uint32_t used = 0;     // the bytes that this block asked for, a bit each
    bool dirty = false;
  };
  struct Memory {
    std::uintptr_t first;  // sector
    std::size_t bytes;
    std::vector<Sector> sectors;
  };

  Sector* find(std::uintptr_t sector);
  void touch(Sector& sector, std::uint32_t bytes, Traffic traffic, std::uint32_t block, Counts& counts);

  std::map<std::uintptr_t, Memory> memory_;  // by start
  std::size_t capacity_ = 0;                 // sectors
  std::uint32_t arrivals_ = 0, before_launch_ = 0;
};

}  // namespace emu
