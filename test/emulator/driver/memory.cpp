#include "memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "../block.h"
#include "../global_memory.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace emu {
namespace {

constexpr std::size_t guard_bytes = 1024;
constexpr unsigned char filling = 0xff;
/// The driver promises 256. Addresses here are no multiples of 512, so code that relies on more than 256 is found.
constexpr std::size_t alignment = 256;
constexpr std::size_t most_freed_bytes = 64 << 20;

}  // namespace

Memory::~Memory() {
  while (!allocations_.empty()) {
    remove_global_memory(allocations_.begin()->second.start);
    if (allocations_.begin()->second.opened > 0) {
      allocations_.erase(allocations_.begin());
      continue;
    }
    release(std::move(allocations_.extract(allocations_.begin()).mapped()));
  }
  freed_.clear();
}

void* Memory::allocate(std::size_t bytes, Kind kind, bool shareable) {
  const std::size_t all = guard_bytes + 3 * alignment + bytes + guard_bytes;
  Bytes memory = shareable ? mapped(memfd_create("emulated GPU", MFD_CLOEXEC), all) : ordinary(all);
  if (memory == nullptr) return nullptr;
  std::memset(memory.get(), filling, all);
  const auto base = reinterpret_cast<std::uintptr_t>(memory.get()) + guard_bytes;
  const std::uintptr_t start = (base + 2 * alignment - 1) / (2 * alignment) * (2 * alignment) + alignment;
  auto* const p = reinterpret_cast<unsigned char*>(start);
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(p - guard_bytes, guard_bytes);
  __asan_poison_memory_region(p + bytes, guard_bytes);
#endif
  allocations_.emplace(start, Allocation{.memory = std::move(memory), .start = p, .bytes = bytes, .kind = kind});
  if (kind == Kind::device) device_bytes_ += bytes;
  add_global_memory(p, bytes);
  return p;
}

void Memory::Free::operator()(unsigned char* memory) const {
  if (file_bytes == 0) {
    delete[] memory;
  } else {
    munmap(memory, file_bytes);
    ::close(file);
  }
}

Memory::Bytes Memory::ordinary(std::size_t bytes) { return Bytes(new (std::nothrow) unsigned char[bytes]); }

/// The memory owns the file. Null if it cannot be mapped.
Memory::Bytes Memory::mapped(int file, std::size_t bytes) {
  if (file == -1) return nullptr;
  struct stat found {};
  const bool fits =
      fstat(file, &found) == 0 && (static_cast<std::size_t>(found.st_size) == bytes ||
                                   (found.st_size == 0 && ftruncate(file, static_cast<off_t>(bytes)) == 0));
  void* const memory = fits ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (memory != MAP_FAILED) return {static_cast<unsigned char*>(memory), Free{bytes, file}};
  ::close(file);
  return nullptr;
}

std::optional<Memory::Shared> Memory::share(const void* p) const {
  if (!is_start(p, Kind::device)) return {};
  const Allocation& a = allocations_.at(reinterpret_cast<std::uintptr_t>(p));
  const Free& backing = a.memory.get_deleter();
  struct stat found {};
  if (backing.file_bytes == 0 || fstat(backing.file, &found) != 0) return {};
  return Shared{
      getpid(), backing.file, found.st_ino, backing.file_bytes, static_cast<std::size_t>(a.start - a.memory.get()),
      a.bytes};
}

void* Memory::open(const Shared& shared) {
  for (auto& [start, a] : allocations_) {
    if (a.opened == 0 || a.opened_inode != shared.inode) continue;
    a.opened++;
    return a.start;
  }
  if (shared.start > shared.file_bytes || shared.bytes > shared.file_bytes - shared.start) return nullptr;
  const int file = ::open(format("/proc/%d/fd/%d", shared.process, shared.file).c_str(), O_RDWR | O_CLOEXEC);
  struct stat found {};
  if (file != -1 && (fstat(file, &found) != 0 || found.st_ino != shared.inode)) {
    ::close(file);
    return nullptr;
  }
  Bytes memory = mapped(file, shared.file_bytes);
  if (memory == nullptr) return nullptr;
  unsigned char* const p = memory.get() + shared.start;
  allocations_.emplace(reinterpret_cast<std::uintptr_t>(p), Allocation{.memory = std::move(memory),
                                                                       .start = p,
                                                                       .bytes = shared.bytes,
                                                                       .kind = Kind::device,
                                                                       .opened_inode = shared.inode,
                                                                       .opened = 1});
  add_global_memory(p, shared.bytes);
  return p;
}

bool Memory::close(void* p) {
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(p));
  if (found == allocations_.end() || found->second.opened == 0) return false;
  if (--found->second.opened > 0) return true;
  remove_global_memory(p);
  allocations_.erase(found);
  return true;
}

bool Memory::is_start(const void* p, Kind kind) const {
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(p));
  return found != allocations_.end() && found->second.kind == kind && found->second.opened == 0;
}

bool Memory::free(void* p, Kind kind) {
  if (!is_start(p, kind)) return false;
  remove_global_memory(p);
  release(std::move(allocations_.extract(reinterpret_cast<std::uintptr_t>(p)).mapped()));
  return true;
}

void Memory::release(Allocation a) {
  if (a.kind == Kind::device) device_bytes_ -= a.bytes;
  std::memset(a.start, filling, a.bytes);
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(a.start, a.bytes);
#endif
  freed_bytes_ += a.bytes;
  freed_.push_back(std::move(a));
  while (freed_bytes_ > most_freed_bytes) {
    freed_bytes_ -= freed_.front().bytes;
    freed_.pop_front();
  }
}

const Memory::Allocation* Memory::find(std::uintptr_t p, std::size_t bytes) const {
  auto next = allocations_.upper_bound(p);
  if (next == allocations_.begin()) return nullptr;
  const Allocation& a = std::prev(next)->second;
  const std::size_t offset = p - std::prev(next)->first;
  return offset <= a.bytes && bytes <= a.bytes - offset ? &a : nullptr;
}

bool Memory::contains(std::uintptr_t p, std::size_t bytes) const { return find(p, bytes) != nullptr; }

bool Memory::is_host(std::uintptr_t p) const {
  const Allocation* const found = find(p, 1);
  return found != nullptr && found->kind == Kind::host;
}

std::optional<Memory::Block> Memory::block_at(std::uintptr_t p) const {
  const Allocation* const found = find(p, 1);
  if (found == nullptr) return {};
  return Block{reinterpret_cast<std::uintptr_t>(found->start), found->bytes, found->kind};
}

std::string Memory::broken_guard(Allocation& a) {
  static const auto intact = [] {
    std::array<unsigned char, guard_bytes> all;
    all.fill(filling);
    return all;
  }();
  const char* const what = a.kind == Kind::device ? "device" : "host";
  unsigned char* const before = a.start - guard_bytes;
  unsigned char* const behind = a.start + a.bytes;
  if (std::memcmp(before, intact.data(), guard_bytes) != 0) {
    const auto last = std::find_if(std::make_reverse_iterator(a.start), std::make_reverse_iterator(before),
                                   [](unsigned char c) { return c != filling; });
    const auto distance = static_cast<std::size_t>(last - std::make_reverse_iterator(a.start)) + 1;
    std::memset(before, filling, guard_bytes);
    return format("something wrote %zu bytes before %s memory at %p of %zu bytes", distance, what,
                  static_cast<void*>(a.start), a.bytes);
  }
  if (std::memcmp(behind, intact.data(), guard_bytes) != 0) {
    const auto first = static_cast<std::size_t>(
        std::find_if(behind, behind + guard_bytes, [](unsigned char c) { return c != filling; }) - behind);
    std::memset(behind, filling, guard_bytes);
    return format("something wrote %zu bytes behind %s memory at %p of %zu bytes", first, what,
                  static_cast<void*>(a.start), a.bytes);
  }
  return {};
}

std::string Memory::broken_guard() {
#ifndef __SANITIZE_ADDRESS__
  for (auto& [start, allocation] : allocations_) {
    if (std::string found = broken_guard(allocation); !found.empty()) return found;
  }
#endif
  return {};
}

}  // namespace emu
