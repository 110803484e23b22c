#pragma once

// Counts every allocation of a test program. It replaces operator new, so one file of a program includes it;
// posix_memalign is counted through the linker's --wrap.

#include <atomic>
#include <cstdlib>
#include <new>

static std::atomic<int> allocations = 0;

// None is inlined: where only one of a pair is, GCC takes it for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations++;
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t /*size*/) noexcept { std::free(p); }

extern "C" int __real_posix_memalign(void** p, std::size_t alignment, std::size_t size);
extern "C" int __wrap_posix_memalign(void** p, std::size_t alignment, std::size_t size) {
  allocations++;
  return __real_posix_memalign(p, alignment, size);
}
