#pragma once

#include "cuda/device.h"
#include "engine/engine.h"

namespace flow::cuda {

// Memory of a GPU that processes share, by the driver's IPC. It names whole allocations of cuMemAlloc.

/// As Engine::share.
SharedBytes share(const ContextPtr& context, std::span<const std::byte> bytes);

/// As Engine::open_shared. Any thread.
MemoryPtr open_shared(const ContextPtr& context, const SharedBytes& shared);

}  // namespace flow::cuda
