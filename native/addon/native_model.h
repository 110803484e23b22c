#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "addon/bound_memory.h"
#include "addon/model_worker.h"
#include "addon/session.h"

namespace flow::addon {

/// The JavaScript class NativeModel of lib/native/contract.ts.
class NativeModel : public Napi::ObjectWrap<NativeModel> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit NativeModel(const Napi::CallbackInfo& info);
  ~NativeModel() override = default;
  NativeModel(const NativeModel&) = delete;
  NativeModel& operator=(const NativeModel&) = delete;

  void Finalize(Napi::Env env) override;

 private:
  using Info = Napi::CallbackInfo;

  /// Progress of `load`, in bytes. Shared with the model's thread.
  struct LoadProgress {
    std::atomic<std::size_t> loaded{0};
    std::atomic<bool> cancelled{false};
    std::size_t total = 0;
  };

  /// Progress of `build_plan`, as LoadProgress.
  struct BuildProgress {
    std::atomic<float> share{0};
    std::atomic<bool> cancelled{false};
  };

  Napi::Value load(const Info& info);
  Napi::Value cancel_load(const Info& info);
  Napi::Value submit(const Info& info);
  Napi::Value run(const Info& info);
  Napi::Value cancel(const Info& info);
  Napi::Value release(const Info& info);
  Napi::Value allocate(const Info& info);
  Napi::Value allocate_device(const Info& info);
  Napi::Value adopt(const Info& info);
  Napi::Value borrow(const Info& info);
  Napi::Value to_dlpack(const Info& info);
  Napi::Value share(const Info& info);
  Napi::Value open_shared(const Info& info);
  Napi::Value features(const Info& info);
  Napi::Value dispose(const Info& info);
  Napi::Value dispose_sync(const Info& info);
  Napi::Value describe(const Info& info);

  Napi::Value tensorrt(const Info& info);
  Napi::Value build_plan(const Info& info);
  Napi::Value cancel_build(const Info& info);
  Napi::Value use_plan(const Info& info);

  /// Throws Error(disposed) before a model is loaded, and after.
  const Engine& engine() const;
  Call call_of(const Napi::Value& request);
  Call request_call(const Napi::Value& request, BoundMemory& memory);
  Call copy_call(const Napi::Value& copy, BoundMemory& memory);
  void account(Napi::Env env, std::size_t bytes);

  std::shared_ptr<ModelConfig> config_;  // until load
  std::shared_ptr<Session> session_;
  EnginePtr engine_;           // once loaded
  int device_ = Memory::host;  // the index of its GPU
  std::string gpu_unused_;     // reason if `auto` fell back to the CPU
  Numerics numerics_;          // as of the last answer
  std::shared_ptr<LoadProgress> progress_;
  std::shared_ptr<BuildProgress> build_;  // of the build that runs, or waits
  Napi::FunctionReference on_progress_;
  std::size_t weight_bytes_ = 0;
  std::uint64_t requests_made_ = 0;
  std::size_t accounted_bytes_ = 0;      // reported to the garbage collector
  std::shared_ptr<ModelWorker> worker_;  // last: its thread uses the members above
};

}  // namespace flow::addon
