#pragma once

#include <cstddef>

namespace emu {

/// Records what happens to memory and to graphs, and how callers wait, for tests. EMULATOR_TRACE names a file. Every
/// allocation of host memory ("alloc"), its release ("free", 0 bytes) and every copy that is done ("to-device",
/// "to-host") appends a line "what address bytes" with an address of the host. Copies of a replay count as well. Memory
/// of the device is "device-alloc" and "device-free". Every capture that ends well ("capture"), every launch of a graph
/// ("replay") and its end ("replayed") append a line with a null address and 0 bytes. So does every wait: for an event
/// by polling ("wait-spin") or asleep ("wait-block"), and for a stream as its context says ("wait-default"). The
/// variable is read at every call. Call this under a lock.
void trace(const char* what, const void* address, std::size_t bytes);

}  // namespace emu
