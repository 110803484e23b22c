#pragma once

#include <napi.h>

#include "addon/bound_memory.h"
#include "ops/ops.h"

namespace flow::addon {

/// Reads a NativeCopy of lib/native/contract.ts. Whatever its numbers are, no row lies outside of the memory that it
/// names. Throws Error(argument).
RowCopy to_row_copy(const Napi::Value& value, BoundMemory& memory);

}  // namespace flow::addon
