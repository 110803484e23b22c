#pragma once

#include <napi.h>

#include "addon/model_worker.h"
#include "engine/engine.h"
#include "model/backbone_trial.h"
#include "model/request.h"
#include "model/trace.h"

// Answers as JavaScript sees them: the types of lib/native/contract.ts.

namespace flow::addon {

/// NativeModelInfo, without what only the model knows.
Napi::Object to_js(Napi::Env env, const EngineInfo& engine);

/// NativeTensorRT.
Napi::Object to_js(Napi::Env env, const BackboneCompiler::Info& info);

/// NativePlan.
Napi::Object to_js(Napi::Env env, const BackboneCompiler::Built& built);

/// NativeTrial.
Napi::Object to_js(Napi::Env env, const BackboneTrial& trial);

/// NativeNumerics.
Napi::Object to_js(Napi::Env env, const Numerics& numerics);

/// NativeResult. `trace` may be null.
Napi::Object to_js(Napi::Env env, const CallTiming& timing, const Outcome& outcome, const Trace* trace);

}  // namespace flow::addon
