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
  object.Set("wait", name_of(gpu.wait));
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

Napi::Uint8Array to_js(Napi::Env env, std::span<const std::byte> bytes) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
  std::ranges::copy(bytes, reinterpret_cast<std::byte*>(array.Data()));
  return array;
}

/// Sets a text that is not empty.
void set_text(Napi::Object object, const char* name, const std::string& text) {
  if (!text.empty()) object.Set(name, text);
}

}  // namespace

Napi::Object to_js(Napi::Env env, const BackboneCompiler::Info& info) {
  Napi::Object object = Napi::Object::New(env);
  set_text(object, "version", info.version);
  set_text(object, "library", info.library);
  set_text(object, "reason", info.reason);
  return object;
}

Napi::Object to_js(Napi::Env env, const BackboneCompiler::Built& built) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("plan", to_js(env, std::span(built.plan)));
  object.Set("timingCache", to_js(env, std::span(built.timing_cache)));
  return object;
}

Napi::Object to_js(Napi::Env env, const BackboneTrial& trial) {
  Napi::Array cosines = Napi::Array::New(env, trial.cosines.size());
  for (std::uint32_t i = 0; i < trial.cosines.size(); i++) cosines[i] = trial.cosines.at(i);
  Napi::Object milliseconds = Napi::Object::New(env);
  milliseconds.Set("kernels", trial.kernels_milliseconds);
  milliseconds.Set("tensorrt", trial.compiled_milliseconds);
  Napi::Object object = Napi::Object::New(env);
  object.Set("cosines", cosines);
  object.Set("milliseconds", milliseconds);
  object.Set("used", trial.used);
  set_text(object, "reason", trial.reason);
  return object;
}

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

Napi::Object to_js(Napi::Env env, const Numerics& numerics) {
  Napi::Array scaled = Napi::Array::New(env, numerics.scaled.size());
  for (std::uint32_t i = 0; i < numerics.scaled.size(); i++) {
    const auto& [block, values, exponent] = numerics.scaled[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("block", block);
    object.Set("values", values);
    object.Set("exponent", exponent);
    scaled[i] = object;
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("precision", numerics.precision);
  object.Set("scaled", scaled);
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
