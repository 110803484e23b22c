#pragma once

#include "block.h"

namespace emu {

/// cp.async. The copy is done as late as allowed, in the wait for its group. So a thread that reads too early gets the
/// old content. Schedule::early_copies finds threads that write too late.
void cp_async(void* to, const void* from, unsigned bytes, unsigned source_bytes, const char* file, int line);
void cp_commit();
/// Waits until at most `left` groups are unfinished.
void cp_wait(int left, const char* file, int line);

}  // namespace emu
