#pragma once

#include <memory>

#include "cuda/memory.h"
#include "cuda/precision.h"
#include "cuda/stream.h"
#include "ops/ops.h"

// Weights in device memory, in the layouts that the headers of kernels/ define.

namespace flow::cuda {

/// Weights of a GEMM or of mask_upsample: n rows of k operands, padded with zeros.
struct PackedMatrix : Packed {
  std::unique_ptr<DeviceMemory> weights;
  std::unique_ptr<DeviceMemory> bias;
  std::unique_ptr<DeviceMemory> gain;  // null if there is none
  int n = 0;                           // columns of the product
  int k = 0;                           // padded; also the distance between rows
  int channels = 0;                    // conv3x3: channels per tap, padded
  int up = 0;                          // mask_upsample: upsampling factor
};

/// Numbers that kernels read as float32.
struct PackedFloats : Packed {
  std::unique_ptr<DeviceMemory> values;
  int count = 0;
};

struct PackedNorm : Packed {
  std::unique_ptr<DeviceMemory> gamma, beta;
  float epsilon = 0;
};

struct PackedRope : Packed {
  std::unique_ptr<DeviceMemory> cos, sin;
};

struct PackedDepthwise : Packed {
  std::unique_ptr<DeviceMemory> taps;
  int stride = 0;
};

struct PackedSqueezeExcite : Packed {
  std::unique_ptr<DeviceMemory> fc1, bias1, fc2, bias2;
  int channels = 0, reduced = 0;
};

struct PackedFlow : Packed {
  std::unique_ptr<DeviceMemory> weight, bias;
  int stride = 0;
};

class Packer {
 public:
  Packer(const Stream& stream, Precision precision) : stream_(stream), precision_(precision) {}

  PackedPtr values(std::span<const float> values) const;
  PackedPtr norm(const NormWeights& weights) const;
  PackedPtr linear(const LinearWeights& weights) const;
  PackedPtr flow(const LinearWeights& weights) const;
  PackedPtr qkv(const LinearWeights& weights, int heads) const;
  PackedPtr rope(std::span<const float> cos, std::span<const float> sin, int half_dim) const;
  PackedPtr swiglu(const LinearWeights& gate, const LinearWeights& up) const;
  PackedPtr depthwise(std::span<const float> weight, int channels) const;
  PackedPtr conv3x3(const LinearWeights& weights) const;
  PackedPtr squeeze_excite(const SqueezeExciteWeights& weights) const;
  PackedPtr mask(const LinearWeights& weights, int up) const;

 private:
  template <class RowOf, class SourceOfK>
  std::unique_ptr<PackedMatrix> matrix(int rows, int k, const RowOf& row_of, const SourceOfK& source_of_k) const;
  /// Copies the values to device memory, followed by zeros up to `count` values. Waits for the copy.
  std::unique_ptr<DeviceMemory> upload(std::span<const float> values, std::size_t count = 0) const;
  std::unique_ptr<DeviceMemory> upload_bytes(const void* data, std::size_t bytes, std::size_t room) const;

  const Stream& stream_;
  Precision precision_;
};

/// Converts numbers to operands of a precision, and back.
void to_operands(Precision precision, std::span<const float> values, void* operands);
void from_operands(Precision precision, const void* operands, std::span<float> values);

}  // namespace flow::cuda
