#pragma once

#include <cstddef>

#include "race.h"

namespace emu {

/// In the builds whose kernels are compiled with -fsanitize=thread: the running thread is about to access memory at
/// `code`. race.cpp or count.cpp defines it.
void note_instrumented(const void* p, std::size_t bytes, Access access, const void* code);

}  // namespace emu
