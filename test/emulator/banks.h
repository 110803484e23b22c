#pragma once

#include "requests.h"

namespace emu {

/// Adds the wavefronts of a request for shared memory. Addresses count from the start of the block's memory.
void count_wavefronts(const Request& request, Counts& counts);

}  // namespace emu
