#pragma once

#include "engine/precision.h"

namespace flow::cuda {

/// The end of the kernels' names.
constexpr const char* suffix_of(Precision precision) {
  return precision == Precision::fp32 ? "f32" : precision == Precision::fp16 ? "f16" : "bf16";
}

/// Tensor cores of compute capability 7.5 do not support bfloat16.
constexpr bool has_precision(int capability_major, Precision precision) {
  return precision != Precision::bf16 || capability_major >= 8;
}

}  // namespace flow::cuda
