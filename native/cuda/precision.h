#pragma once

#include "engine/precision.h"

namespace flow::cuda {

/// The end of the kernels' names.
constexpr const char* suffix_of(Precision precision) {
  return precision == Precision::fp32 ? "f32" : precision == Precision::fp16 ? "f16" : "bf16";
}

/// Whether kernels that are compiled for a compute capability, 80 for 8.0, compute in a precision. Tensor cores of 7.5
/// do not support bfloat16.
constexpr bool kernels_have(Precision precision, int capability) {
  return precision != Precision::bf16 || capability >= 80;
}

}  // namespace flow::cuda
