#pragma once

#include <napi.h>

#include <memory>

#include "addon/model_worker.h"
#include "ops/memory.h"

namespace flow::addon {

/// NativeMemory of lib/native/contract.ts. It keeps `memory` until it is released or collected. If the memory waits at
/// its end, the thread of `worker` lets go of it; once that thread is stopping, or if `worker` is null, JavaScript's
/// thread does.
Napi::Object memory_object(Napi::Env env, MemoryPtr memory, const std::shared_ptr<ModelWorker>& worker);

}  // namespace flow::addon
