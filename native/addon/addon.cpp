#include <napi.h>

#include "addon/native_model.h"
#include "engine/open.h"

namespace flow::addon {

/// One instance per JavaScript environment: the main thread's, and every worker thread's.
class Module : public Napi::Addon<Module> {
 public:
  Module(Napi::Env env, Napi::Object exports) {
    DefineAddon(exports, {InstanceValue("NativeModel", NativeModel::define(env)),
                          InstanceValue("cudaKernels", Napi::String::New(env, cuda_kernel_architectures()))});
  }
};

NODE_API_ADDON(Module)

}  // namespace flow::addon
