#include "addon/gpus.h"

#include "cuda/kernel_images.h"
#include "ops/error.h"

namespace flow::addon {

Napi::Object to_js(Napi::Env env, const cuda::DeviceInfo& device) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", device.index);
  object.Set("name", device.name);
  object.Set("computeCapability", device.capability());
  object.Set("multiprocessors", device.multiprocessors);
  object.Set("memory", static_cast<double>(device.memory));
  object.Set("integrated", device.integrated);
  object.Set("driverVersion", cuda::driver().version);
  return object;
}

Napi::Value find_gpus(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object found = Napi::Object::New(env);
  Napi::Array gpus = Napi::Array::New(env);
  try {
    for (const cuda::DeviceInfo& device : cuda::devices()) gpus.Set(gpus.Length(), to_js(env, device));
  } catch (const Error& error) {
    found.Set("reason", error.what());
  }
  found.Set("gpus", gpus);
  found.Set("kernels", cuda::built_architectures());
  return found;
}

}  // namespace flow::addon
