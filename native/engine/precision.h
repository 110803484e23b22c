#pragma once

#include <cstddef>

namespace flow {

/// The type of GEMM operands and activations. Sums, softmax, norms, the residual stream and the flow are always
/// float32.
enum class Precision { fp32, fp16, bf16 };

constexpr std::size_t bytes_of(Precision precision) { return precision == Precision::fp32 ? 4 : 2; }

constexpr const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::fp32: return "fp32";
    case Precision::fp16: return "fp16";
    case Precision::bf16: return "bf16";
  }
  return "";
}

}  // namespace flow
