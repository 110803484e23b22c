#pragma once

#include <napi.h>

#include "addon/bound_memory.h"
#include "model/request.h"

namespace flow::addon {

/// Reads a NativeRequest of lib/native/contract.ts. lib/ has checked the arguments, with messages for users. This
/// function checks again everything that could crash the process. Throws Error(argument).
Request to_request(const Napi::Value& value, BoundMemory& memory);

/// The patches of a frame, down and across. Throws Error(argument).
Grid to_grid(const Napi::Value& height, const Napi::Value& width);

/// A name of a feature map: a positive integer. Throws Error(argument).
FeatureId to_feature_id(const Napi::Value& value);

}  // namespace flow::addon
