#pragma once

#include <bit>
#include <type_traits>

#include "block.h"
#include "count.h"
#include "race.h"

// Atomic functions of global and shared memory, and fences. Blocks run on several host threads, so these are the host's
// atomics.

namespace emu {

/// *p = change(*p). Returns the old value.
template <class T, class Change>
EMU_UNSEEN T atomic_update(T* p, const Change& change, const char* file, int line) {
  current->fiber->site = {"atomic", file, line};
  note_access(p, sizeof(T), Access::atomic);
  count_access(Traffic::atomic, p, sizeof(T));
  T old, next;
  __atomic_load(p, &old, __ATOMIC_SEQ_CST);
  do {
    next = change(old);
  } while (!__atomic_compare_exchange(p, &old, &next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
  return old;
}

template <class T>
using Same = std::type_identity_t<T>;

}  // namespace emu

#define EMU_ATOMIC(name, expression)                                           \
  template <class T>                                                           \
  T name(T* p, emu::Same<T> value, EMU_HERE) {                                 \
    return emu::atomic_update(                                                 \
        p, [value](T old) { return static_cast<T>(expression); }, file, line); \
  }
EMU_ATOMIC(atomicAdd, old + value)
EMU_ATOMIC(atomicSub, old - value)
EMU_ATOMIC(atomicMax, old < value ? value : old)
EMU_ATOMIC(atomicMin, value < old ? value : old)
EMU_ATOMIC(atomicExch, (static_cast<void>(old), value))
EMU_ATOMIC(atomicAnd, old& value)
EMU_ATOMIC(atomicOr, old | value)
EMU_ATOMIC(atomicXor, old ^ value)
EMU_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
EMU_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef EMU_ATOMIC

template <class T>
T atomicCAS(T* p, emu::Same<T> expected, emu::Same<T> value, EMU_HERE) {
  return emu::atomic_update(
      p, [=](T old) { return old == expected ? value : old; }, file, line);
}

EMU_UNSEEN inline void __threadfence_block() { __sync_synchronize(); }
EMU_UNSEEN inline void __threadfence() {
  emu::note_fence();
  __sync_synchronize();
}
EMU_UNSEEN inline void __threadfence_system() { __threadfence(); }
