#pragma once

#include <napi.h>

#include "cuda/device.h"

namespace flow::addon {

/// NativeGpu of lib/native.ts.
Napi::Object to_js(Napi::Env env, const cuda::DeviceInfo& device);

/// NativeGpus of lib/native.ts: what the driver shows, without using it.
Napi::Value find_gpus(const Napi::CallbackInfo& info);

}  // namespace flow::addon
