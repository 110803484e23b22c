#pragma once

#include <cstddef>

namespace emu {

/// Records what happens to host memory and to graphs, for tests. EMULATOR_TRACE names a file. Every allocation ("alloc"),
/// release ("free", 0 bytes) and copy that is done ("to-device", "to-host") appends a line "what address bytes". Copies
/// of a replay count as well. Every capture that ends well ("capture") and every launch of a graph ("replay") appends a
/// line with a null address and 0 bytes. The variable is read at every call. Call this under a lock.
void trace(const char* what, const void* host, std::size_t bytes);

}  // namespace emu
