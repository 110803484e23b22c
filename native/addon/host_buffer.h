#pragma once

#include <napi.h>

#include <memory>

#include "addon/model_worker.h"
#include "cuda/host_block.h"

namespace flow::addon {

/// An ArrayBuffer whose memory is `block`; undefined where the runtime allows no such buffers (Electron). The block is
/// given back on the thread of `worker`, as long as that runs.
Napi::Value host_buffer(Napi::Env env, cuda::HostBlockPtr block, const std::shared_ptr<ModelWorker>& worker);

}  // namespace flow::addon
