#pragma once

#include "block.h"

namespace emu {

/// cp.async: the copy is done as late as allowed, in the wait for its group, so that whoever reads too early reads what
/// was there before; see Schedule::early_copies for those who write too late.
void cp_async(void* to, const void* from, unsigned bytes, unsigned source_bytes, const char* file, int line);
void cp_commit();
/// Waits until at most `left` groups are on their way.
void cp_wait(int left, const char* file, int line);

}  // namespace emu
