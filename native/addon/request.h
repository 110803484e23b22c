#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "model/request.h"

namespace flow::addon {

/// A request, and everything that must stay alive until it is answered.
struct BoundRequest {
  Request request;
  std::vector<Napi::ObjectReference> keeps;        // the buffers that it reads and writes in place
  std::vector<std::shared_ptr<const void>> holds;  // the memory of these buffers
};

/// Reads a NativeRequest of lib/native/contract.ts. lib/ has checked the arguments, with messages for users. This
/// function checks again everything that could crash the process. Throws Error(argument).
BoundRequest to_request(const Napi::Value& value);

/// The patches of a frame, down and across. Throws Error(argument).
Grid to_grid(const Napi::Value& height, const Napi::Value& width);

/// A name of a feature map: a positive integer. Throws Error(argument).
FeatureId to_feature_id(const Napi::Value& value);

}  // namespace flow::addon
