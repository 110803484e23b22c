#include "instrumented.h"

// The builds race and count compile kernels with -fsanitize=thread. The calls that the compiler inserts before every
// access come here instead of to the compiler's own runtime.

#if defined(FLOW_EMULATOR_RACE) || defined(FLOW_EMULATOR_COUNT)

using emu::Access;

extern "C" {

#define EMU_HOOK(name, bytes, access) \
  void __tsan_##name(void* p) { emu::note_instrumented(p, bytes, access, __builtin_return_address(0)); }
#define EMU_HOOKS(bytes)                              \
  EMU_HOOK(read##bytes, bytes, Access::read)          \
  EMU_HOOK(write##bytes, bytes, Access::write)        \
  EMU_HOOK(volatile_read##bytes, bytes, Access::read) \
  EMU_HOOK(volatile_write##bytes, bytes, Access::write)
#define EMU_UNALIGNED_HOOKS(bytes)                              \
  EMU_HOOK(unaligned_read##bytes, bytes, Access::read)          \
  EMU_HOOK(unaligned_write##bytes, bytes, Access::write)        \
  EMU_HOOK(unaligned_volatile_read##bytes, bytes, Access::read) \
  EMU_HOOK(unaligned_volatile_write##bytes, bytes, Access::write)
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)
EMU_UNALIGNED_HOOKS(2)
EMU_UNALIGNED_HOOKS(4)
EMU_UNALIGNED_HOOKS(8)
EMU_UNALIGNED_HOOKS(16)

void __tsan_read_range(void* p, unsigned long bytes) {
  emu::note_instrumented(p, bytes, Access::read, __builtin_return_address(0));
}
void __tsan_write_range(void* p, unsigned long bytes) {
  emu::note_instrumented(p, bytes, Access::write, __builtin_return_address(0));
}
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

// Atomics of instrumented code. The memory order is always the strictest.
#define EMU_ATOMICS(bits, T)                                                                                        \
  T __tsan_atomic##bits##_load(const volatile T* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }           \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }           \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) { return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_and(volatile T* p, T v, int) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); } \
  T __tsan_atomic##bits##_fetch_or(volatile T* p, T v, int) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }   \
  T __tsan_atomic##bits##_fetch_xor(volatile T* p, T v, int) { return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST); } \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) {                           \
    return __atomic_compare_exchange_n(p, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                         \
  }                                                                                                                 \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* e, T v, int, int) {                             \
    return __atomic_compare_exchange_n(p, e, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                          \
  }
EMU_ATOMICS(8, char)
EMU_ATOMICS(16, short)
EMU_ATOMICS(32, int)
EMU_ATOMICS(64, long)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

}  // extern "C"

#endif
