#include "addon/native_model.h"

#include <algorithm>
#include <limits>

#include "addon/arguments.h"
#include "addon/host_buffer.h"
#include "model/trace.h"

namespace flow::addon {

namespace {

Napi::ObjectReference keep(const Napi::Value& value) { return Napi::Persistent(value.As<Napi::Object>()); }

/// The references that a call needs: the model itself, and the buffers among its arguments.
template <class... Values>
std::vector<Napi::ObjectReference> keep_all(const Values&... values) {
  std::vector<Napi::ObjectReference> kept;
  (kept.push_back(keep(values)), ...);
  return kept;
}

/// The engine's own host memory among what a call reads and writes.
template <class... Parts>
std::vector<std::shared_ptr<const void>> hold_all(const Parts&... parts) {
  std::vector<std::shared_ptr<const void>> held;
  const auto hold = [&](std::span<const std::byte> bytes) {
    if (auto memory = holding(bytes)) held.push_back(std::move(memory));
  };
  (hold(parts), ...);
  return held;
}

Napi::Value data_of(const Napi::Value& frame) { return frame.As<Napi::Object>().Get("data"); }

struct OutputSize {
  int height, width;
  std::size_t pixels() const { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
  std::size_t values() const { return 2 * pixels(); }
};

OutputSize to_output_size(const Napi::Value& height, const Napi::Value& width) {
  constexpr int max_side = 65535;
  constexpr std::size_t max_values = std::size_t{1} << 30;
  const OutputSize size{to_int(height, "output height", 1, max_side), to_int(width, "output width", 1, max_side)};
  if (size.values() > max_values) throw Error(ErrorCode::argument, "the output is too large");
  return size;
}

/// NativeGpu of lib/native/contract.ts.
Napi::Object to_js(Napi::Env env, const GpuInfo& gpu) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", gpu.index);
  object.Set("name", gpu.name);
  object.Set("computeCapability", gpu.compute_capability);
  object.Set("multiprocessors", gpu.multiprocessors);
  object.Set("memory", static_cast<double>(gpu.memory));
  object.Set("integrated", gpu.integrated);
  object.Set("driverVersion", gpu.driver_version);
  return object;
}

Napi::Array to_js(Napi::Env env, const Trace& trace) {
  const auto& entries = trace.entries();
  Napi::Array array = Napi::Array::New(env, entries.size());
  for (std::uint32_t i = 0; i < entries.size(); i++) {
    const Trace::Entry& entry = entries[i];
    Napi::Float32Array values = Napi::Float32Array::New(env, entry.values.size());
    std::ranges::copy(entry.values, values.Data());
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", entry.name);
    object.Set("rows", entry.rows);
    object.Set("cols", entry.cols);
    object.Set("values", values);
    array[i] = object;
  }
  return array;
}

}  // namespace

Napi::Function NativeModel::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {InstanceMethod<&NativeModel::load>("load"),
                      InstanceMethod<&NativeModel::cancel_load>("cancelLoad"),
                      InstanceMethod<&NativeModel::flow>("flow"),
                      InstanceMethod<&NativeModel::flow_sync>("flowSync"),
                      InstanceMethod<&NativeModel::features>("features"),
                      InstanceMethod<&NativeModel::features_sync>("featuresSync"),
                      InstanceMethod<&NativeModel::flow_from_features>("flowFromFeatures"),
                      InstanceMethod<&NativeModel::flow_from_features_sync>("flowFromFeaturesSync"),
                      InstanceMethod<&NativeModel::advance>("advance"),
                      InstanceMethod<&NativeModel::advance_sync>("advanceSync"),
                      InstanceMethod<&NativeModel::flow_picture>("flowPicture"),
                      InstanceMethod<&NativeModel::flow_picture_from_features>("flowPictureFromFeatures"),
                      InstanceMethod<&NativeModel::read_features>("readFeatures"),
                      InstanceMethod<&NativeModel::read_features_sync>("readFeaturesSync"),
                      InstanceMethod<&NativeModel::release_features>("releaseFeatures"),
                      InstanceMethod<&NativeModel::allocate>("allocate"),
                      InstanceMethod<&NativeModel::trace>("trace"),
                      InstanceMethod<&NativeModel::cancel>("cancel"),
                      InstanceMethod<&NativeModel::dispose>("dispose"),
                      InstanceMethod<&NativeModel::dispose_sync>("disposeSync"),
                      InstanceMethod<&NativeModel::describe>("describe")});
}

NativeModel::NativeModel(const Info& info) : Napi::ObjectWrap<NativeModel>(info) {
  guarded(info.Env(), [&] {
    config_ = std::make_shared<ModelConfig>(to_model_config(info[0]));
    dim_ = config_->backbone.dim;
    session_ = std::make_shared<Session>();
    progress_ = std::make_shared<LoadProgress>();
    worker_ = ModelWorker::start(info.Env(), [session = session_] { session->close(); });
  });
}

void NativeModel::Finalize(Napi::Env env) {
  worker_.reset();
  forget_memory(env);
}

// ---- loading
// ---------------------------------------------------------------------------------------------------------

Napi::Value NativeModel::load(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsFunction()) throw Error(ErrorCode::argument, "onProgress is not a function");
    if (!config_) throw Error(ErrorCode::native, "load was called twice");
    // Weak: a job may not own the worker that runs it.
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
            [this](Napi::Env env) {
              engine_ = session_->engine();
              gpu_unused_ = session_->gpu_unused();
              account(env, static_cast<std::ptrdiff_t>(weight_bytes_));
              return env.Undefined();
            },
        .settled =
            [this] {
              worker_->set_on_notice(nullptr);
              on_progress_.Reset();  // what it refers to may refer to this model
            },
        .keeps = keep_all(Value())};
    return worker_->post(info.Env(), 0, std::move(call));
  });
}

Napi::Value NativeModel::cancel_load(const Info& info) {
  progress_->cancelled = true;
  return info.Env().Undefined();
}

// ---- calls
// -----------------------------------------------------------------------------------------------------------

Napi::Value NativeModel::post(const Info& info, std::size_t ticket_argument, Call call) {
  const int ticket = to_int(info[ticket_argument], "ticket", 0, std::numeric_limits<int>::max());
  return worker_->post(info.Env(), static_cast<std::uint32_t>(ticket), std::move(call));
}

/// (frameA, frameB, gridHeight, gridWidth, output, outputHeight, outputWidth)
Call NativeModel::flow_call(const Info& info) {
  const Frame a = to_frame(info[0]), b = to_frame(info[1]);
  const Grid grid = to_grid(info[2], info[3]);
  const OutputSize size = to_output_size(info[5], info[6]);
  const std::span<float> out = to_floats(info[4], size.values());
  return {.work = [session = session_.get(), a, b, grid, out,
                   size] { session->network().flow(a, b, grid, out, size.height, size.width); },
          .keeps = keep_all(Value(), data_of(info[0]), data_of(info[1]), info[4]),
          .holds = hold_all(bytes_of(a), bytes_of(b), std::as_bytes(out))};
}

Napi::Value NativeModel::flow(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 7, flow_call(info)); });
}

Napi::Value NativeModel::flow_sync(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->run(info.Env(), flow_call(info)); });
}

/// (frame, gridHeight, gridWidth)
Call NativeModel::features_call(const Info& info) {
  const Frame frame = to_frame(info[0]);
  const Grid grid = to_grid(info[1], info[2]);
  const auto id = std::make_shared<FeatureId>();
  return {.work = [session = session_.get(), frame, grid, id] { *id = session->encode(frame, grid); },
          .result = [this, grid, id](Napi::Env env) { return tell_features(env, *id, grid); },
          .keeps = keep_all(Value(), data_of(info[0])),
          .holds = hold_all(bytes_of(frame))};
}

Napi::Value NativeModel::features(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 3, features_call(info)); });
}

Napi::Value NativeModel::features_sync(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->run(info.Env(), features_call(info)); });
}

/// (featuresA, featuresB, output, outputHeight, outputWidth)
Call NativeModel::flow_from_features_call(const Info& info) {
  const FeatureId a = to_feature_id(info[0]), b = to_feature_id(info[1]);
  const OutputSize size = to_output_size(info[3], info[4]);
  const std::span<float> out = to_floats(info[2], size.values());
  return {.work =
              [session = session_.get(), a, b, out, size] {
                session->network().flow(session->features(a), session->features(b), out, size.height, size.width);
              },
          .keeps = keep_all(Value(), info[2]),
          .holds = hold_all(std::as_bytes(out))};
}

Napi::Value NativeModel::flow_from_features(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 5, flow_from_features_call(info)); });
}

Napi::Value NativeModel::flow_from_features_sync(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->run(info.Env(), flow_from_features_call(info)); });
}

/// (features, frame, output, outputHeight, outputWidth)
Call NativeModel::advance_call(const Info& info) {
  const FeatureId before = to_feature_id(info[0]);
  const Frame frame = to_frame(info[1]);
  const OutputSize size = to_output_size(info[3], info[4]);
  const std::span<float> out = to_floats(info[2], size.values());
  struct Made {
    FeatureId id;
    Grid grid;
  };
  const auto made = std::make_shared<Made>();
  return {.work =
              [session = session_.get(), before, frame, out, size, made] {
                made->id = session->advance(before, frame, out, size.height, size.width);
                made->grid = session->features(made->id).grid;
              },
          .result = [this, made](Napi::Env env) { return tell_features(env, made->id, made->grid); },
          .keeps = keep_all(Value(), data_of(info[1]), info[2]),
          .holds = hold_all(bytes_of(frame), std::as_bytes(out))};
}

Napi::Value NativeModel::advance(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 5, advance_call(info)); });
}

Napi::Value NativeModel::advance_sync(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->run(info.Env(), advance_call(info)); });
}

/// (frameA, frameB, gridHeight, gridWidth, picture, pictureHeight, pictureWidth, colors)
Call NativeModel::flow_picture_call(const Info& info) {
  const Frame a = to_frame(info[0]), b = to_frame(info[1]);
  const Grid grid = to_grid(info[2], info[3]);
  const OutputSize size = to_output_size(info[5], info[6]);
  const std::span<std::uint8_t> out = to_pixels(info[4], 3 * size.pixels());
  const FlowColors colors = to_flow_colors(info[7]);
  return {.work = [session = session_.get(), a, b, grid, out, size,
                   colors] { session->network().picture(a, b, grid, out, size.height, size.width, colors); },
          .keeps = keep_all(Value(), data_of(info[0]), data_of(info[1]), info[4]),
          .holds = hold_all(bytes_of(a), bytes_of(b), std::as_bytes(out))};
}

Napi::Value NativeModel::flow_picture(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 8, flow_picture_call(info)); });
}

/// (featuresA, featuresB, picture, pictureHeight, pictureWidth, colors)
Call NativeModel::flow_picture_from_features_call(const Info& info) {
  const FeatureId a = to_feature_id(info[0]), b = to_feature_id(info[1]);
  const OutputSize size = to_output_size(info[3], info[4]);
  const std::span<std::uint8_t> out = to_pixels(info[2], 3 * size.pixels());
  const FlowColors colors = to_flow_colors(info[5]);
  return {.work =
              [session = session_.get(), a, b, out, size, colors] {
                session->network().picture(session->features(a), session->features(b), out, size.height, size.width,
                                           colors);
              },
          .keeps = keep_all(Value(), info[2]),
          .holds = hold_all(std::as_bytes(out))};
}

Napi::Value NativeModel::flow_picture_from_features(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 6, flow_picture_from_features_call(info)); });
}

/// (features, output)
Call NativeModel::read_features_call(const Info& info) {
  const FeatureId id = to_feature_id(info[0]);
  const std::size_t length = info[1].IsTypedArray() ? info[1].As<Napi::TypedArray>().ElementLength() : 0;
  const std::span<float> out = to_floats(info[1], length);
  return {.work =
              [session = session_.get(), id, out] {
                // Here, not above: a map's size is known to the model's thread.
                const Features& features = session->features(id);
                const RealMatrix& m = features.matrix;
                if (out.size() != static_cast<std::size_t>(m.rows) * static_cast<std::size_t>(m.cols)) {
                  throw Error(ErrorCode::argument, "the output has another length than the features");
                }
                session->network().read_features(features, out);
              },
          .keeps = keep_all(Value(), info[1]),
          .holds = hold_all(std::as_bytes(out))};
}

Napi::Value NativeModel::read_features(const Info& info) {
  return guarded(info.Env(), [&] { return post(info, 2, read_features_call(info)); });
}

Napi::Value NativeModel::read_features_sync(const Info& info) {
  return guarded(info.Env(), [&] { return worker_->run(info.Env(), read_features_call(info)); });
}

/// (features)
Napi::Value NativeModel::release_features(const Info& info) {
  return guarded(info.Env(), [&] {
    const FeatureId id = to_feature_id(info[0]);
    const auto known = feature_bytes_.find(id);
    if (known != feature_bytes_.end()) {
      account(info.Env(), -static_cast<std::ptrdiff_t>(known->second));
      feature_bytes_.erase(known);
      worker_->post_and_forget([session = session_.get(), id] { session->release(id); });
    }
    return info.Env().Undefined();
  });
}

/// (bytes)
Napi::Value NativeModel::allocate(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    constexpr double most = std::size_t{1} << 32;  // larger frames take ordinary memory
    const double bytes = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
    if (!engine_ || !(bytes >= 1 && bytes <= most)) return info.Env().Undefined();
    HostMemoryPtr memory = engine_->allocate_host(static_cast<std::size_t>(bytes));
    return memory ? host_buffer(info.Env(), std::move(memory), worker_) : info.Env().Undefined();
  });
}

/// (frameA, frameB, gridHeight, gridWidth, outputHeight, outputWidth)
Napi::Value NativeModel::trace(const Info& info) {
  return guarded(info.Env(), [&] {
    const Frame a = to_frame(info[0]), b = to_frame(info[1]);
    const Grid grid = to_grid(info[2], info[3]);
    const OutputSize size = to_output_size(info[4], info[5]);
    Trace trace;
    std::vector<float> out(size.values());
    return worker_->run(info.Env(),
                        {.work = [&] { session_->network().flow(a, b, grid, out, size.height, size.width, &trace); },
                         .result = [&](Napi::Env env) -> Napi::Value { return to_js(env, trace); }});
  });
}

/// (ticket)
Napi::Value NativeModel::cancel(const Info& info) {
  return guarded(info.Env(), [&] {
    const int ticket = to_int(info[0], "ticket", 0, std::numeric_limits<int>::max());
    return Napi::Boolean::New(info.Env(), worker_->cancel(info.Env(), static_cast<std::uint32_t>(ticket)));
  });
}

// ---- the end
// ---------------------------------------------------------------------------------------------------------

Napi::Value NativeModel::dispose(const Info& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const Napi::Promise stopped = worker_->stop(info.Env());
    forget_memory(info.Env());
    return stopped;
  });
}

Napi::Value NativeModel::dispose_sync(const Info& info) {
  return guarded(info.Env(), [&] {
    worker_->stop_sync(info.Env());
    forget_memory(info.Env());
    return info.Env().Undefined();
  });
}

// ---- information
// -----------------------------------------------------------------------------------------------------

/// NativeModelInfo of lib/native/contract.ts; once loaded.
Napi::Value NativeModel::describe(const Info& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  const EngineInfo engine = engine_ ? engine_->describe() : EngineInfo{};
  if (engine.gpu) {
    object.Set("gpu", to_js(info.Env(), *engine.gpu));
  } else {
    object.Set("instructionSet", engine.instruction_set);
    object.Set("threads", engine.threads);
    object.Set("gpuUnused", gpu_unused_);
  }
  object.Set("precision", name_of(engine.precision));
  object.Set("weightBytes", static_cast<double>(weight_bytes_));
  return object;
}

/// Gives a feature map to JavaScript, which holds its memory from now on.
Napi::Value NativeModel::tell_features(Napi::Env env, FeatureId id, Grid grid) {
  feature_bytes_[id] = feature_bytes(grid);
  account(env, static_cast<std::ptrdiff_t>(feature_bytes(grid)));
  return Napi::Number::New(env, static_cast<double>(id));
}

std::size_t NativeModel::feature_bytes(Grid grid) const {
  return sizeof(float) * static_cast<std::size_t>(grid.size()) * static_cast<std::size_t>(dim_);
}

/// Tells the garbage collector of memory that it does not see.
void NativeModel::account(Napi::Env env, std::ptrdiff_t bytes) {
  accounted_ += bytes;
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
}

void NativeModel::forget_memory(Napi::Env env) {
  feature_bytes_.clear();
  account(env, -accounted_);
}

}  // namespace flow::addon
