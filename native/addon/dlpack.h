#pragma once

#include <napi.h>

#include <memory>

#include "addon/bound_memory.h"
#include "addon/home_thread.h"
#include "addon/model_worker.h"
#include "include/dinov3_flow.h"

// DLPack tensors in capsules of include/dinov3_flow.h. All functions belong to JavaScript's thread and throw
// Error(argument).

namespace flow::addon {

/// NativeDLPack of lib/native/contract.ts, of a capsule whose tensor was not taken.
Napi::Object describe_capsule(const Napi::Value& capsule);

/// Takes the tensor out of a capsule: its values begin at the first of `bytes`. `engine` looks at a GPU's memory.
MemoryPtr take_tensor(const Napi::Value& capsule, std::size_t bytes, const Engine& engine,
                      std::shared_ptr<HomeThread> home);

/// A capsule for a NativeDLPackExport. `memory` reads what it names. Once nobody uses the capsule's tensor, the thread
/// of `worker` frees the memory if nobody else does.
Napi::Value make_capsule(const Napi::Object& value, BoundMemory& memory, const std::shared_ptr<HomeThread>& home,
                         const std::weak_ptr<ModelWorker>& worker);

}  // namespace flow::addon
