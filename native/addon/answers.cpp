#include "addon/answers.h"

#include <algorithm>

namespace flow::addon {

namespace {

/// NativeGpu.
Napi::Object to_js(Napi::Env env, const GpuInfo& gpu) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("index", gpu.index);
  object.Set("name", gpu.name);
  object.Set("computeCapability", gpu.compute_capability);
  object.Set("multiprocessors", gpu.multiprocessors);
  object.Set("memory", static_cast<double>(gpu.memory));
  object.Set("integrated", gpu.integrated);
  object.Set("inPlace", gpu.in_place);
  object.Set("kernels", gpu.kernels);
  object.Set("driverVersion", gpu.driver_version);
  return object;
}

/// TraceEntry[].
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

Napi::Object to_js(Napi::Env env, const EngineInfo& engine) {
  Napi::Object object = Napi::Object::New(env);
  if (engine.gpu) {
    object.Set("gpu", to_js(env, *engine.gpu));
  } else {
    object.Set("instructionSet", engine.instruction_set);
    object.Set("threads", engine.threads);
  }
  object.Set("precision", name_of(engine.precision));
  return object;
}

Napi::Object to_js(Napi::Env env, const CallTiming& timing, const Outcome& outcome, const Trace* trace) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("wait", timing.wait);
  object.Set("work", timing.work);
  object.Set("duplicate", outcome.duplicate);
  if (trace != nullptr) object.Set("trace", to_js(env, *trace));
  return object;
}

}  // namespace flow::addon
