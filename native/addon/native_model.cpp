#include "addon/native_model.h"

#include <algorithm>
#include <limits>

#include "addon/answers.h"
#include "addon/borrowed_memory.h"
#include "addon/dlpack.h"
#include "addon/host_buffer.h"
#include "addon/memory_object.h"
#include "addon/model_options.h"
#include "addon/module.h"
#include "addon/request.h"
#include "addon/row_copy.h"
#include "addon/values.h"
#include "engine/known_memory.h"

namespace flow::addon {

namespace {

std::uint32_t to_ticket(const Napi::Value& value) {
  return static_cast<std::uint32_t>(to_int(value, "ticket", 0, std::numeric_limits<int>::max()));
}

std::span<const std::byte> to_range(const Napi::Value& pointer, const Napi::Value& bytes) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): addresses cross to JavaScript as integers
  const auto* const first = reinterpret_cast<const std::byte*>(to_address(pointer, "pointer"));
  return {first, static_cast<std::size_t>(to_integer(bytes, "bytes", 1, max_exact_integer))};
}

}  // namespace

Napi::Function NativeModel::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {InstanceMethod<&NativeModel::load>("load"),
                      InstanceMethod<&NativeModel::cancel_load>("cancelLoad"),
                      InstanceMethod<&NativeModel::submit>("submit"),
                      InstanceMethod<&NativeModel::run>("run"),
                      InstanceMethod<&NativeModel::cancel>("cancel"),
                      InstanceMethod<&NativeModel::release>("release"),
                      InstanceMethod<&NativeModel::allocate>("allocate"),
                      InstanceMethod<&NativeModel::allocate_device>("allocateDevice"),
                      InstanceMethod<&NativeModel::adopt>("adopt"),
                      InstanceMethod<&NativeModel::borrow>("borrow"),
                      InstanceMethod<&NativeModel::to_dlpack>("toDLPack"),
                      InstanceMethod<&NativeModel::share>("share"),
                      InstanceMethod<&NativeModel::open_shared>("openShared"),
                      InstanceMethod<&NativeModel::features>("features"),
                      InstanceMethod<&NativeModel::dispose>("dispose"),
                      InstanceMethod<&NativeModel::dispose_sync>("disposeSync"),
                      InstanceMethod<&NativeModel::describe>("describe"),
                      InstanceMethod<&NativeModel::tensorrt>("tensorRT"),
                      InstanceMethod<&NativeModel::build_plan>("buildPlan"),
                      InstanceMethod<&NativeModel::cancel_build>("cancelBuild"),
                      InstanceMethod<&NativeModel::use_plan>("usePlan")});
}

NativeModel::NativeModel(const Info& info) : Napi::ObjectWrap<NativeModel>(info) {
  guarded(info.Env(), [&] {
    config_ = std::make_shared<ModelConfig>(to_model_config(info[0]));
    session_ = std::make_shared<Session>();
    progress_ = std::make_shared<LoadProgress>();
    worker_ = ModelWorker::start(info.Env(), [session = session_] { session->close(); });
    worker_->set_after_work([this](Napi::Env env) { account(env, session_->held_bytes()); });
  });
}

void NativeModel::Finalize(Napi::Env env) {
  worker_.reset();
  account(env, 0);
}

// ---- loading --------------------------------------------------------------------------------------------------------

Napi::Value NativeModel::load(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsFunction()) reject("onProgress is not a function");
    if (!config_) throw Error(ErrorCode::native, "load was called twice");
    // `worker` is a raw pointer: a job must not own the worker that runs it.
    const auto on_read = [progress = progress_, worker = worker_.get()](std::size_t bytes) {
      if (progress->cancelled || worker->abandoned()) throw Error(ErrorCode::aborted, "loading was aborted");
      progress->loaded += bytes;
      worker->notify();
    };
    const auto backbone = std::make_shared<FileWeights>(std::move(config_->backbone_weights), on_read);
    const auto head = std::make_shared<FileWeights>(std::move(config_->head_weights), on_read);
    progress_->total = backbone->stored_bytes() + head->stored_bytes();
    weight_bytes_ = backbone->float_bytes() + head->float_bytes();
    on_progress_ = Napi::Persistent(info[0].As<Napi::Function>());
    worker_->set_on_notice([this](Napi::Env env) {
      const Napi::HandleScope scope(env);
      on_progress_.Call({Napi::Number::New(env, static_cast<double>(progress_->loaded)),
                         Napi::Number::New(env, static_cast<double>(progress_->total))});
    });
    Call call{
        .work = [session = session_, config = std::move(config_), backbone, head,
                 progress = progress_] { session->open(*config, *backbone, *head, [&] { progress->loaded = 0; }); },
        .result =
            [this](Napi::Env env, const CallTiming&) {
              engine_ = session_->engine();
              if (const auto gpu = engine_->describe().gpu) device_ = gpu->index;
              gpu_unused_ = session_->gpu_unused();
              numerics_ = session_->numerics();
              return env.Undefined();
            },
        .settled =
            [this] {
              worker_->set_on_notice(nullptr);
              on_progress_.Reset();  // breaks a reference cycle: the function may refer to this model
            }};
    call.keeps.push_back(Napi::Persistent(Value()));
    return worker_->post(info.Env(), 0, std::move(call));
  });
}

Napi::Value NativeModel::cancel_load(const Info& info) {
  progress_->cancelled = true;
  return info.Env().Undefined();
}

const Engine& NativeModel::engine() const {
  if (!engine_) throw Error(ErrorCode::disposed, "the model was disposed");
  return *engine_;
}

// ---- requests -------------------------------------------------------------------------------------------------------

/// The call for a NativeRequest or a NativeCopy. Its answer is a NativeResult.
Call NativeModel::call_of(const Napi::Value& value) {
  BoundMemory memory(engine_, device_);
  const Napi::Value copy = to_object(value, "request").Get("copy");
  Call call = copy.IsUndefined() ? request_call(value, memory) : copy_call(copy, memory);
  call.keeps = std::move(memory.keeps);
  call.keeps.push_back(Napi::Persistent(Value()));
  call.holds = std::move(memory.holds);
  return call;
}

Call NativeModel::request_call(const Napi::Value& value, BoundMemory& memory) {
  const auto request = std::make_shared<Request>(to_request(value, memory));
  std::shared_ptr<Trace> trace;
  if (value.As<Napi::Object>().Get("trace").ToBoolean()) {
    trace = std::make_shared<Trace>();
    request->trace = trace.get();
  }
  request->number = ++requests_made_;
  request->streams = std::move(memory.streams);
  // `worker` is a raw pointer: a job must not own the worker that runs it.
  const auto outcome = std::make_shared<Outcome>();
  return {.work = [session = session_.get(), worker = worker_.get(), request,
                   outcome] { *outcome = session->run(*request, [worker] { return worker->work_ahead(); }); },
          .finish = [session = session_.get()] { session->deliver(); },
          .unfinished = [outcome] { return outcome->sending; },
          .prepare = [session = session_.get(), request] { session->stage_ahead(*request); },
          .withdraw = [session = session_.get()] { session->withdraw(); },
          .result = [this, trace, outcome](Napi::Env env, const CallTiming& timing) -> Napi::Value {
            if (outcome->numerics) numerics_ = *outcome->numerics;
            return to_js(env, timing, *outcome, trace.get());
          }};
}

Call NativeModel::copy_call(const Napi::Value& value, BoundMemory& memory) {
  const RowCopy copy = to_row_copy(value, memory);
  return {
      .work = [session = session_.get(), copy, streams = std::move(memory.streams)] { session->copy(copy, streams); },
      .result = [](Napi::Env env, const CallTiming& timing) -> Napi::Value {
        return to_js(env, timing, Outcome{}, nullptr);
      }};
}

/// (request, ticket)
Napi::Value NativeModel::submit(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->post(info.Env(), to_ticket(info[1]), call_of(info[0])); });
}

/// (request)
Napi::Value NativeModel::run(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->run(info.Env(), call_of(info[0])); });
}

/// (ticket)
Napi::Value NativeModel::cancel(const Info& info) {
  return guarded(info.Env(),
                 [&] { return Napi::Boolean::New(info.Env(), worker_->cancel(info.Env(), to_ticket(info[0]))); });
}

/// (features)
Napi::Value NativeModel::release(const Info& info) {
  return guarded(info.Env(), [&] {
    const FeatureId id = to_feature_id(info[0]);
    worker_->do_soon(info.Env(), [session = session_.get(), id] { session->release(id); });
    return info.Env().Undefined();
  });
}

/// (bytes)
Napi::Value NativeModel::allocate(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    constexpr double most = std::size_t{1} << 32;  // larger frames take ordinary memory
    const double bytes = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
    if (!engine_ || !(bytes >= 1 && bytes <= most)) return info.Env().Undefined();
    MemoryPtr memory = engine_->allocate_host(static_cast<std::size_t>(bytes));
    return memory ? host_buffer(info.Env(), std::move(memory), worker_) : info.Env().Undefined();
  });
}

/// (bytes, 'engine' or 'others')
Napi::Value NativeModel::allocate_device(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto bytes = static_cast<std::size_t>(to_integer(info[0], "bytes", 1, max_exact_integer));
    const std::string users = to_string(info[1], "users");
    if (users != "engine" && users != "others") reject("users must be engine or others");
    MemoryPtr memory = engine_ ? engine_->allocate_device(bytes) : nullptr;
    if (memory && users == "others") memory->expect_other_users();
    return memory ? memory_object(info.Env(), std::move(memory), worker_) : info.Env().Undefined();
  });
}

/// (pointer, bytes)
Napi::Value NativeModel::adopt(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    return memory_object(info.Env(), engine().adopt(to_range(info[0], info[1])), worker_);
  });
}

/// (pointer, bytes)
Napi::Value NativeModel::share(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const SharedBytes shared = engine().share(to_range(info[0], info[1]));
    const auto& [gpu, allocation, offset, bytes] = shared;
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("gpu", gpu);
    object.Set("allocation", Napi::Buffer<std::uint8_t>::Copy(info.Env(), allocation.data(), allocation.size()));
    object.Set("offset", static_cast<double>(offset));
    return object;
  });
}

/// (gpu, allocation, offset, bytes)
Napi::Value NativeModel::open_shared(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    SharedBytes shared{.gpu = to_string(info[0], "gpu"),
                       .allocation = {},
                       .offset = static_cast<std::size_t>(to_integer(info[2], "offset", 0, max_exact_integer)),
                       .bytes = static_cast<std::size_t>(to_integer(info[3], "bytes", 1, max_exact_integer))};
    const auto allocation = to_elements<std::uint8_t>(info[1], napi_uint8_array, "allocation");
    if (allocation.size() != shared.allocation.size()) reject("allocation: has another length");
    std::ranges::copy(allocation, shared.allocation.begin());
    return memory_object(info.Env(), engine().open_shared(shared), worker_);
  });
}

/// (capsule, bytes)
Napi::Value NativeModel::borrow(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!engine_) throw Error(ErrorCode::disposed, "the model was disposed");
    const auto bytes = static_cast<std::size_t>(to_integer(info[1], "bytes", 1, max_exact_integer));
    const MemoryPtr memory = take_tensor(info[0], bytes, *engine_, Module::home(info.Env()));
    // No worker: the memory ends on JavaScript's thread, once no request uses it.
    Napi::Object object = memory_object(info.Env(), memory, nullptr);
    object.Set("owner", owner_object(info.Env(), memory));
    return object;
  });
}

/// (tensor)
Napi::Value NativeModel::to_dlpack(const Info& info) {
  return guarded(info.Env(), [&] {
    BoundMemory memory(engine_, device_);
    return make_capsule(to_object(info[0], "tensor"), memory, Module::home(info.Env()), worker_);
  });
}

/// (features)
Napi::Value NativeModel::features(const Info& info) {
  return guarded(info.Env(), [&] {
    FeatureMemory features = session_->features(to_feature_id(info[0]));
    make_known(features.memory);
    Napi::Object object = memory_object(info.Env(), std::move(features.memory), worker_);
    object.Set("stride", features.matrix.stride);
    return object;
  });
}

// ---- a backbone that TensorRT compiled ------------------------------------------------------------------------------

Napi::Value NativeModel::tensorrt(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto found = std::make_shared<BackboneCompiler::Info>();
    Call call{.work = [session = session_.get(), found] { *found = session->describe_compiler(); },
              .result = [found](Napi::Env env, const CallTiming&) -> Napi::Value { return to_js(env, *found); }};
    call.keeps.push_back(Napi::Persistent(Value()));
    return worker_->post(info.Env(), 0, std::move(call));
  });
}

/// (onnx, timingCache, onProgress)
Napi::Value NativeModel::build_plan(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    auto onnx = to_bytes(info[0], "onnx"), timing_cache = to_bytes(info[1], "timingCache");
    if (!info[2].IsFunction()) reject("onProgress is not a function");
    if (build_) throw Error(ErrorCode::native, "a build runs already");
    build_ = std::make_shared<BuildProgress>();
    on_progress_ = Napi::Persistent(info[2].As<Napi::Function>());
    worker_->set_on_notice([this](Napi::Env env) {
      const Napi::HandleScope scope(env);
      on_progress_.Call({Napi::Number::New(env, build_->share)});
    });
    // `worker` is a raw pointer: a job must not own the worker that runs it.
    const auto go_on = [build = build_, worker = worker_.get()](float share) {
      build->share = share;
      worker->notify();
      return !build->cancelled && !worker->abandoned();
    };
    const auto built = std::make_shared<BackboneCompiler::Built>();
    Call call{
        .work =
            [session = session_.get(), onnx = std::move(onnx), timing_cache = std::move(timing_cache), go_on, built] {
              if (!go_on(0)) throw Error(ErrorCode::aborted, "the build was aborted");
              *built = session->compiler().build(onnx, timing_cache, go_on);
            },
        .result = [built](Napi::Env env, const CallTiming&) -> Napi::Value { return to_js(env, *built); },
        .settled =
            [this] {
              worker_->set_on_notice(nullptr);
              on_progress_.Reset();
              build_.reset();
            }};
    call.keeps.push_back(Napi::Persistent(Value()));
    return worker_->post(info.Env(), 0, std::move(call));
  });
}

Napi::Value NativeModel::cancel_build(const Info& info) {
  if (build_) build_->cancelled = true;
  return info.Env().Undefined();
}

/// (gridHeight, gridWidth, plan, onlyIfFaster)
Napi::Value NativeModel::use_plan(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Grid grid = to_grid(info[0], info[1]);
    const auto trial = std::make_shared<BackboneTrial>();
    Call call{.work = [session = session_.get(), grid, plan = to_bytes(info[2], "plan"),
                       only_if_faster = info[3].ToBoolean().Value(),
                       trial] { *trial = session->use_plan(grid, plan, only_if_faster); },
              .result = [trial](Napi::Env env, const CallTiming&) -> Napi::Value { return to_js(env, *trial); }};
    call.keeps.push_back(Napi::Persistent(Value()));
    return worker_->post(info.Env(), 0, std::move(call));
  });
}

// ---- the end --------------------------------------------------------------------------------------------------------

Napi::Value NativeModel::dispose(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    engine_.reset();
    return worker_->stop(info.Env());
  });
}

Napi::Value NativeModel::dispose_sync(const Info& info) {
  return guarded(info.Env(), [&] {
    engine_.reset();
    worker_->stop_sync(info.Env());
    return info.Env().Undefined();
  });
}

// ---- information ----------------------------------------------------------------------------------------------------

Napi::Value NativeModel::describe(const Info& info) {
  Napi::Object object = to_js(info.Env(), engine_ ? engine_->describe() : EngineInfo{});
  object.Set("gpuUnused", gpu_unused_);
  object.Set("numerics", to_js(info.Env(), numerics_));
  object.Set("weightBytes", static_cast<double>(weight_bytes_));
  return object;
}

/// Reports memory outside the JavaScript heap to the garbage collector.
void NativeModel::account(Napi::Env env, std::size_t bytes) {
  if (bytes == accounted_bytes_) return;
  Napi::MemoryManagement::AdjustExternalMemory(
      env, static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(accounted_bytes_));
  accounted_bytes_ = bytes;
}

}  // namespace flow::addon
