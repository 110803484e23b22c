#pragma once

#include <cstddef>
#include <span>

#include "ops/memory.h"

namespace flow {

/// From now on `holding` finds this memory. The registry does not own it. Any thread.
void make_known(const MemoryPtr& memory);

/// As make_known, unless another object for the same block is known, which is returned then.
MemoryPtr find_or_make_known(const MemoryPtr& memory);

/// The known memory that contains all of `bytes`, or null. An engine uses such memory directly, so the caller must keep
/// the returned pointer until the engine is done. Addresses of GPUs and of the host are never the same. Any thread.
MemoryPtr holding(std::span<const std::byte> bytes);

}  // namespace flow
