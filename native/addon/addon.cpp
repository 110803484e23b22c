#include <napi.h>

#include "addon/failure.h"
#include "addon/native_model.h"
#include "addon/values.h"
#include "engine/open.h"

namespace flow::addon {

/// One instance per JavaScript environment: the main thread's, and every worker thread's.
class Module : public Napi::Addon<Module> {
 public:
  Module(Napi::Env env, Napi::Object exports) {
    DefineAddon(exports, {InstanceValue("NativeModel", NativeModel::define(env)),
                          InstanceMethod<&Module::address_of>("addressOf"),
                          InstanceValue("cudaKernels", Napi::String::New(env, cuda_kernel_architectures()))});
  }

 private:
  /// (bytes)
  Napi::Value address_of(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] {
      const auto bytes = to_elements<std::uint8_t>(info[0], napi_uint8_array, "data");
      return Napi::BigInt::New(info.Env(), static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(bytes.data())));
    });
  }
};

NODE_API_ADDON(Module)

}  // namespace flow::addon
