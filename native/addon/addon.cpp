#include <napi.h>

#include "addon/gpus.h"
#include "addon/native_model.h"

namespace flow::addon {

/// One instance per JavaScript environment: the main thread's, and every worker thread's.
class Module : public Napi::Addon<Module> {
 public:
  Module(Napi::Env env, Napi::Object exports) {
    DefineAddon(exports, {InstanceValue("NativeModel", NativeModel::define(env)),
                          InstanceValue("findGpus", Napi::Function::New(env, find_gpus, "findGpus"))});
  }
};

NODE_API_ADDON(Module)

}  // namespace flow::addon
