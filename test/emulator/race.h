#pragma once

#include <cstddef>

namespace emu {

enum class Access { read, write, atomic, async_write };

#ifdef FLOW_EMULATOR_RACE
/// Records an access of the running thread that the compiler's instrumentation does not see. Its place is the fiber's
/// site.
void note_access(const void* p, std::size_t bytes, Access access);
/// Records a __threadfence of the running thread.
void note_fence();
#else
inline void note_access(const void*, std::size_t, Access) {}
inline void note_fence() {}
#endif

}  // namespace emu
