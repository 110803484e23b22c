#pragma once

#include <cstddef>

namespace emu {

/// Records what happens to host memory, for tests. EMULATOR_TRACE names a file. Every allocation ("alloc"), release
/// ("free", 0 bytes) and copy that is done ("to-device", "to-host") appends a line "what address bytes". Copies of a
/// replay count as well. The variable is read at every call. Call this under a lock.
void trace(const char* what, const void* host, std::size_t bytes);

}  // namespace emu
