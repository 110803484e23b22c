#pragma once

#include <cstddef>

namespace flow {

/// Element types. `Real` is float32 on every engine. `Operand` is the type of matrix products' operands: float32 on the
/// CPU; float16, bfloat16 or float32 on a GPU. Only `Ops` reads and writes an `Operand` matrix. `Byte` is an 8-bit
/// value of a picture or mask.
struct Real {};
struct Operand {};
struct Byte {};

/// A row-major matrix in the engine's memory. Tokens and pixels are rows, channels are columns: (y, x) of a map of
/// width w is row y * w + x. `stride` is the number of elements from row to row.
template <class Kind>
struct Matrix {
  void* data = nullptr;
  int rows = 0;
  int cols = 0;
  int stride = 0;

  explicit operator bool() const { return data != nullptr; }
};

using RealMatrix = Matrix<Real>;
using OperandMatrix = Matrix<Operand>;
using ByteMatrix = Matrix<Byte>;

/// Rows [first, first + count) of a matrix whose elements have `element_bytes` bytes.
template <class Kind>
Matrix<Kind> rows_of(Matrix<Kind> m, int first, int count, std::size_t element_bytes) {
  const std::size_t offset = static_cast<std::size_t>(first) * static_cast<std::size_t>(m.stride) * element_bytes;
  return {static_cast<std::byte*>(m.data) + offset, count, m.cols, m.stride};
}
inline RealMatrix rows_of(RealMatrix m, int first, int count) { return rows_of(m, first, count, sizeof(float)); }

}  // namespace flow
