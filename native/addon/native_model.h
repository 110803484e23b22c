#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <unordered_map>

#include "addon/model_worker.h"
#include "addon/session.h"

namespace flow::addon {

/// A model as JavaScript sees it; described as NativeModel in lib/native/contract.ts.
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

  /// Bytes read so far, told by the model's thread.
  struct LoadProgress {
    std::atomic<std::size_t> loaded{0};
    std::atomic<bool> cancelled{false};
    std::size_t total = 0;
  };

  Napi::Value load(const Info& info);
  Napi::Value cancel_load(const Info& info);
  Napi::Value flow(const Info& info);
  Napi::Value flow_sync(const Info& info);
  Napi::Value features(const Info& info);
  Napi::Value features_sync(const Info& info);
  Napi::Value flow_from_features(const Info& info);
  Napi::Value flow_from_features_sync(const Info& info);
  Napi::Value advance(const Info& info);
  Napi::Value advance_sync(const Info& info);
  Napi::Value flow_picture(const Info& info);
  Napi::Value flow_picture_from_features(const Info& info);
  Napi::Value read_features(const Info& info);
  Napi::Value read_features_sync(const Info& info);
  Napi::Value allocate(const Info& info);
  Napi::Value release_features(const Info& info);
  Napi::Value trace(const Info& info);
  Napi::Value cancel(const Info& info);
  Napi::Value dispose(const Info& info);
  Napi::Value dispose_sync(const Info& info);
  Napi::Value describe(const Info& info);

  Call flow_call(const Info& info);
  Call features_call(const Info& info);
  Call flow_from_features_call(const Info& info);
  Call advance_call(const Info& info);
  Call flow_picture_call(const Info& info);
  Call flow_picture_from_features_call(const Info& info);
  Call read_features_call(const Info& info);
  Napi::Value post(const Info& info, std::size_t ticket_argument, Call call);

  Napi::Value tell_features(Napi::Env env, FeatureId id, Grid grid);
  std::size_t feature_bytes(Grid grid) const;
  void account(Napi::Env env, std::ptrdiff_t bytes);
  void forget_memory(Napi::Env env);

  std::shared_ptr<ModelConfig> config_;  // until load
  int dim_ = 0;
  std::shared_ptr<Session> session_;
  EnginePtr engine_;        // once loaded
  std::string gpu_unused_;  // reason if `auto` fell back to the CPU
  std::shared_ptr<LoadProgress> progress_;
  Napi::FunctionReference on_progress_;
  std::size_t weight_bytes_ = 0;
  std::unordered_map<FeatureId, std::size_t> feature_bytes_;  // of the feature maps that JavaScript holds
  std::ptrdiff_t accounted_ = 0;                              // bytes that the garbage collector was told of
  std::shared_ptr<ModelWorker> worker_;                       // last: its thread uses what is above
};

}  // namespace flow::addon
