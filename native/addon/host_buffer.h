#pragma once

#include <napi.h>

#include <memory>

#include "addon/model_worker.h"
#include "ops/memory.h"

namespace flow::addon {

/// Lets go of `memory`, mostly a Memory. Freeing it may wait for the GPU, so the thread of `worker` does it. If that
/// thread has ended or is stopping, the memory is freed here, and the wait is short.
void let_go(std::shared_ptr<const void> memory, const std::weak_ptr<ModelWorker>& worker);

/// Wraps `memory` in an ArrayBuffer, without a copy. Undefined if the runtime forbids external buffers, as Electron
/// does. The thread of `worker` frees the memory; once that thread is stopping, JavaScript's thread does.
Napi::Value host_buffer(Napi::Env env, MemoryPtr memory, const std::shared_ptr<ModelWorker>& worker);

}  // namespace flow::addon
