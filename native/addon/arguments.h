#pragma once

#include <napi.h>

#include <cstdint>
#include <span>

#include "addon/session.h"
#include "ops/frame.h"
#include "ops/ops.h"

// JavaScript's values as the model wants them. lib/ checks arguments and words the messages that users read;
// here is checked again what could otherwise crash the process. All of these throw Error(argument).

namespace flow::addon {

int to_int(const Napi::Value& value, const char* what, int min, int max);
FeatureId to_feature_id(const Napi::Value& value);
Grid to_grid(const Napi::Value& height, const Napi::Value& width);

/// { data, width, height, stride, format }; the pixels stay where they are.
Frame to_frame(const Napi::Value& value);

/// The values of a Float32Array of exactly `count`; they stay where they are.
std::span<float> to_floats(const Napi::Value& value, std::size_t count);
/// The bytes of a Uint8Array of exactly `count`; they stay where they are.
std::span<std::uint8_t> to_pixels(const Napi::Value& value, std::size_t count);

/// { scale, clipMax, clipMin }, as NativeFlowColors of lib/native/contract.ts.
FlowColors to_flow_colors(const Napi::Value& value);

/// { backbone, head, backboneWeights, headWeights, threads }, as NativeModelOptions of lib/native/contract.ts. The
/// instruction set comes from the environment.
ModelConfig to_model_config(const Napi::Value& value);

}  // namespace flow::addon
