#pragma once

#include <cstddef>

namespace flow::cuda {

/// What GEMM operands and activations are stored in. Sums, softmax, norms, the residual stream and the flow are float32
/// always.
enum class Precision { fp32, fp16, bf16 };

constexpr std::size_t bytes_of(Precision precision) { return precision == Precision::fp32 ? 4 : 2; }

/// As the kernels' names have it.
constexpr const char* suffix_of(Precision precision) {
  return precision == Precision::fp32 ? "f32" : precision == Precision::fp16 ? "f16" : "bf16";
}

/// Tensor cores of compute capability 7.5 know no bfloat16.
constexpr bool has_precision(int capability_major, Precision precision) {
  return precision != Precision::bf16 || capability_major >= 8;
}

}  // namespace flow::cuda
