#pragma once

#include <napi.h>

#include <memory>

#include "addon/model_worker.h"
#include "engine/host_memory.h"

namespace flow::addon {

/// Wraps `memory` in an ArrayBuffer, without a copy. Undefined if the runtime forbids external buffers, as Electron
/// does. The thread of `worker` frees the memory; once that thread is stopping, JavaScript's thread does.
Napi::Value host_buffer(Napi::Env env, HostMemoryPtr memory, const std::shared_ptr<ModelWorker>& worker);

}  // namespace flow::addon
