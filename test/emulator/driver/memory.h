#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

namespace emu {

/// What a context has allocated, of the device's memory or of the host's. Every allocation lies between two guard zones
/// that nothing may write to; AddressSanitizer watches them, and elsewhere they are compared when asked. All bytes of
/// fresh memory, of guards and of freed memory are 0xff: a NaN of every type, should a kernel read them.
class Memory {
 public:
  enum class Kind { device, host };

  Memory() = default;
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Null where the machine has no more.
  void* allocate(std::size_t bytes, Kind kind);
  /// False where `p` is not the start of an allocation of that kind. The guards should have been checked.
  bool free(void* p, Kind kind);
  /// Whether [p, p + bytes) lies within one allocation, of either kind.
  bool contains(std::uintptr_t p, std::size_t bytes) const;
  bool is_start(const void* p, Kind kind) const;
  std::size_t device_bytes() const { return device_bytes_; }

  /// Says which allocation was overrun, or nothing. What it has told once it does not tell again.
  std::string broken_guard();

 private:
  struct Allocation {
    std::unique_ptr<unsigned char[]> memory;  // with the guards
    unsigned char* start;
    std::size_t bytes;
    Kind kind;
  };

  static std::string broken_guard(Allocation& a);
  void release(Allocation a);

  std::map<std::uintptr_t, Allocation> allocations_;  // by start
  std::deque<Allocation> freed_;                      // kept for a while, lest their addresses be used at once
  std::size_t device_bytes_ = 0, freed_bytes_ = 0;
};

}  // namespace emu
