#pragma once

#include <napi.h>

#include "addon/session.h"

namespace flow::addon {

/// Reads NativeModelOptions of lib/native/contract.ts, and the instruction set from the environment. lib/ has checked
/// the options, with messages for users. This function checks again everything that could crash the process. Throws
/// Error(argument).
ModelConfig to_model_config(const Napi::Value& value);

}  // namespace flow::addon
