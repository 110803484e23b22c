#include <napi.h>

#include "addon/dlpack.h"
#include "addon/failure.h"
#include "addon/module.h"
#include "addon/native_model.h"
#include "addon/values.h"
#include "engine/open.h"

namespace flow::addon {

Module::Module(Napi::Env env, Napi::Object exports) : home_(HomeThread::start(env)) {
  DefineAddon(exports,
              {InstanceValue("NativeModel", NativeModel::define(env)), InstanceMethod<&Module::address_of>("addressOf"),
               InstanceMethod<&Module::describe_dlpack>("describeDLPack"),
               InstanceValue("cudaKernels", Napi::String::New(env, cuda_kernel_architectures()))});
}

/// (bytes)
Napi::Value Module::address_of(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto bytes = to_elements<std::uint8_t>(info[0], napi_uint8_array, "data");
    return Napi::BigInt::New(info.Env(), static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(bytes.data())));
  });
}

/// (capsule)
Napi::Value Module::describe_dlpack(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] { return describe_capsule(info[0]); });
}

NODE_API_ADDON(Module)

}  // namespace flow::addon
