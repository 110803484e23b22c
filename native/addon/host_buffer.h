#pragma once

#include <napi.h>

#include <memory>

#include "addon/model_worker.h"
#include "engine/host_memory.h"

namespace flow::addon {

/// An ArrayBuffer over `memory`; undefined where the runtime allows no such buffers (Electron). The thread of `worker`
/// frees the memory, as long as it runs.
Napi::Value host_buffer(Napi::Env env, HostMemoryPtr memory, const std::shared_ptr<ModelWorker>& worker);

}  // namespace flow::addon
