#pragma once

#include <cstddef>

namespace emu {

#if defined(FLOW_EMULATOR_RACE) || defined(FLOW_EMULATOR_COUNT)
/// Tells the race detector or the counter of memory that all blocks share, or that it is gone. Do not call this while a launch runs.
void add_global_memory(const void* p, std::size_t bytes);
void remove_global_memory(const void* p);
#else
inline void add_global_memory(const void*, std::size_t) {}
inline void remove_global_memory(const void*) {}
#endif

}  // namespace emu
