#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace emu {

/// The allocations of a context, in device or host memory. Every allocation lies between two guard zones that nothing
/// may write to. AddressSanitizer watches them; other builds compare them on request. All bytes of fresh memory, of
/// guards and of freed memory are 0xff. A kernel that reads them gets a NaN of every type.
class Memory {
 public:
  enum class Kind { device, host };

  Memory() = default;
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Null if the machine has no more memory. Memory of the device that is `shareable` is a file of its own.
  void* allocate(std::size_t bytes, Kind kind, bool shareable = false);
  /// False if `p` is not the start of an allocation of that kind. Check the guards first.
  bool free(void* p, Kind kind);
  /// Whether [p, p + bytes) lies within one allocation, of either kind.
  bool contains(std::uintptr_t p, std::size_t bytes) const;
  /// Whether p lies within an allocation of host memory.
  bool is_host(std::uintptr_t p) const;
  bool is_start(const void* p, Kind kind) const;
  struct Block {
    std::uintptr_t start;
    std::size_t bytes;
    Kind kind;
  };
  /// The allocation that p lies within.
  std::optional<Block> block_at(std::uintptr_t p) const;
  std::size_t device_bytes() const { return device_bytes_; }

  /// Where another process of the machine finds a shareable allocation.
  struct Shared {
    int process, file;
    unsigned long inode;  // tells whether the file is still the same
    std::size_t file_bytes, start, bytes;
  };
  /// Nothing if p is not the start of a shareable allocation.
  std::optional<Shared> share(const void* p) const;
  /// Maps an allocation of another process, once. Null if it is gone.
  void* open(const Shared& shared);
  /// The end of one `open`. False if p was not opened.
  bool close(void* p);

  /// Says which allocation was overrun, or nothing. Each overrun is reported once.
  std::string broken_guard();

 private:
  /// Frees memory of new[], or unmaps a file.
  struct Free {
    std::size_t file_bytes;  // 0 if it is no file
    int file;
    void operator()(unsigned char* memory) const;
  };
  using Bytes = std::unique_ptr<unsigned char[], Free>;
  static Bytes ordinary(std::size_t bytes);
  static Bytes mapped(int file, std::size_t bytes);

  struct Allocation {
    Bytes memory;  // with the guards
    unsigned char* start;
    std::size_t bytes;
    Kind kind;
    unsigned long opened_inode = 0;  // of another process's allocation
    int opened = 0;                  // how often
  };

  /// The allocation that [p, p + bytes) lies within, or null.
  const Allocation* find(std::uintptr_t p, std::size_t bytes) const;
  static std::string broken_guard(Allocation& a);
  void release(Allocation a);

  std::map<std::uintptr_t, Allocation> allocations_;  // by start
  std::deque<Allocation> freed_;  // kept for a while, so that their addresses are not reused at once
  std::size_t device_bytes_ = 0, freed_bytes_ = 0;
};

}  // namespace emu
