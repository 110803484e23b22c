#pragma once

#include <napi.h>

#include <memory>

#include "addon/home_thread.h"

namespace flow::addon {

/// One instance per JavaScript environment: the main thread's, and every worker thread's.
class Module : public Napi::Addon<Module> {
 public:
  Module(Napi::Env env, Napi::Object exports);

  /// The thread of the environment.
  static std::shared_ptr<HomeThread> home(Napi::Env env) { return env.GetInstanceData<Module>()->home_; }

 private:
  Napi::Value address_of(const Napi::CallbackInfo& info);
  Napi::Value describe_dlpack(const Napi::CallbackInfo& info);

  std::shared_ptr<HomeThread> home_;
};

}  // namespace flow::addon
