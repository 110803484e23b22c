#pragma once

#include <cstddef>

namespace emu {

/// What happens to the host's memory, for tests: EMULATOR_TRACE names a file that gets a line "what address bytes" of
/// every allocation, release ("alloc", "free", whose bytes are 0) and copy ("to-device", "to-host") when it is done, a
/// replay's, too. Read at every call. To be called under a lock.
void trace(const char* what, const void* host, std::size_t bytes);

}  // namespace emu
