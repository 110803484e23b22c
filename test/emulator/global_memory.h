#pragma once

#include <cstddef>

namespace emu {

#ifdef FLOW_EMULATOR_RACE
/// Adds memory that all blocks share to the race detector, or removes it. Do not call this while a launch runs.
void add_global_memory(const void* p, std::size_t bytes);
void remove_global_memory(const void* p);
#else
inline void add_global_memory(const void*, std::size_t) {}
inline void remove_global_memory(const void*) {}
#endif

}  // namespace emu
