#pragma once

#include <cstddef>

namespace emu {

/// `async_write` is the begin of a cp.async, `async_end` the wait for it.
enum class Access { read, write, atomic, async_write, async_end };

#ifdef FLOW_EMULATOR_RACE
/// Records an access of the running thread that the compiler's instrumentation does not see. Its place is the fiber's
/// site.
void note_access(const void* p, std::size_t bytes, Access access);
/// Records a __threadfence of the running thread.
void note_fence();
/// Whether `p` lies within global memory. Other builds do not know.
bool is_global(const void* p);
#else
inline void note_access(const void*, std::size_t, Access) {}
inline void note_fence() {}
inline bool is_global(const void*) { return true; }
#endif

}  // namespace emu
