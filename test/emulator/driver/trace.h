#pragma once

#include <cstddef>

namespace emu {

/// Records what happens to memory and to graphs, for tests. EMULATOR_TRACE names a file. Every allocation of host memory
/// ("alloc"), its release ("free", 0 bytes) and every copy that is done ("to-device", "to-host") appends a line "what
/// address bytes" with an address of the host. Copies of a replay count as well. Memory of the device is "device-alloc"
/// and "device-free". Every capture that ends well ("capture") and every launch of a graph ("replay") appends a
/// line with a null address and 0 bytes. The variable is read at every call. Call this under a lock.
void trace(const char* what, const void* address, std::size_t bytes);

}  // namespace emu
