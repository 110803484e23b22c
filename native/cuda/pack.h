#pragma once

#include <array>
#include <memory>
#include <vector>

#include "cuda/excess.h"
#include "cuda/memory.h"
#include "cuda/precision.h"
#include "cuda/stream.h"
#include "kernels/gemm.h"
#include "ops/ops.h"

// Weights in device memory, in the layouts that the headers of kernels/ define.

namespace flow::cuda {

/// Numbers that kernels read as float32.
struct PackedFloats : Packed {
  std::unique_ptr<DeviceMemory> values;
  int count = 0;
};

struct PackedNorm : Packed {
  std::unique_ptr<DeviceMemory> gamma, beta;
  float epsilon = 0;
  ExcessWords excess;
};

/// The norm of what a product reads. Gamma and beta are parts of the product's weights and bias.
struct ProductNorm {
  std::unique_ptr<PackedNorm> plain;   // gamma 1, beta 0: the norm as a stage of its own
  std::shared_ptr<DeviceMemory> sums;  // of the weights of each column of the product, as they are rounded
  int cols = 0;                        // of the residual stream
  bool apart = false;                  // whether it is a stage of its own
};

/// Weights of a GEMM or of mask_upsample: n rows of k operands, padded with zeros. Those of a GEMM are in the order of
/// kernels::gemm_row.
struct PackedMatrix : Packed {
  std::shared_ptr<DeviceMemory> weights;
  std::unique_ptr<DeviceMemory> bias;
  std::unique_ptr<DeviceMemory> gain;          // null if there is none
  int n = 0;                                   // columns of the product
  int k = 0;                                   // padded; also the distance between rows
  int channels = 0;                            // conv3x3: channels per tap, padded
  int up = 0;                                  // mask_upsample: upsampling factor
  float weight_scale = 1;                      // the weights times this are the true ones
  float in_scale = 1;                          // of the operands that come in; a power of two, as all of these
  std::array<float, 3> out_scale = {1, 1, 1};  // of the operands that go out; qkv: of q, k, v
  ExcessWords excess;                          // as out_scale
  std::unique_ptr<ProductNorm> norm;           // null if there is none

  /// What the product is multiplied by.
  float scale() const { return weight_scale / in_scale; }
};

struct PackedRope : Packed {
  std::unique_ptr<DeviceMemory> cos, sin;
};

struct PackedDepthwise : Packed {
  std::unique_ptr<DeviceMemory> taps;
  int stride = 0;
};

struct PackedSqueezeExcite : Packed {
  std::unique_ptr<DeviceMemory> fc1, bias1, fc2, bias2;  // fc2 is transposed
  int channels = 0, reduced = 0;
};

struct PackedFlow : Packed {
  std::unique_ptr<DeviceMemory> weight, bias;
  int stride = 0;
};

class Packer {
 public:
  /// `excess` lives as long as the packed weights are used.
  Packer(const Stream& stream, Precision precision, Excess& excess)
      : stream_(stream), precision_(precision), excess_(excess) {}

  /// Converts all matrices that were packed to another precision of as many bytes, in place. The device must be idle.
  void convert(Precision precision);

  PackedPtr values(std::span<const float> values) const;
  std::unique_ptr<PackedNorm> norm(const NormWeights& weights) const;
  PackedPtr linear(const LinearWeights& weights);
  PackedPtr flow(const LinearWeights& weights) const;
  PackedPtr norm_linear(const NormWeights& norm, const LinearWeights& weights);
  PackedPtr qkv(const NormWeights& norm, const LinearWeights& weights, int heads);
  PackedPtr rope(std::span<const float> cos, std::span<const float> sin, int half_dim) const;
  PackedPtr swiglu(const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up);
  PackedPtr depthwise(std::span<const float> weight, int channels) const;
  PackedPtr conv3x3(const LinearWeights& weights);
  PackedPtr squeeze_excite(const SqueezeExciteWeights& weights) const;
  PackedPtr mask(const LinearWeights& weights, int up);

 private:
  /// The weights of a matrix in device memory, of `bytes` bytes, and the sums of their rows, if a norm needs them.
  struct Stored {
    std::weak_ptr<DeviceMemory> weights;
    std::size_t bytes;
    std::weak_ptr<DeviceMemory> sums;
    int k;
    float scale;  // the weights times this are the true ones
  };

  template <class RowOf, class SourceOfK>
  std::unique_ptr<PackedMatrix> matrix(int rows, int k, const RowOf& row_of, const SourceOfK& source_of_k,
                                       const NormWeights* norm = nullptr, int (*place_of)(int) = kernels::gemm_row);
  std::unique_ptr<ProductNorm> product_norm(const NormWeights& weights) const;
  /// Copies the values to device memory, followed by zeros up to `count` values. Waits for the copy.
  std::unique_ptr<DeviceMemory> upload(std::span<const float> values, std::size_t count = 0) const;
  std::unique_ptr<DeviceMemory> upload_bytes(const void* data, std::size_t bytes, std::size_t room) const;

  const Stream& stream_;
  Precision precision_;
  Excess& excess_;
  std::vector<Stored> stored_;
};

/// Converts numbers to operands of a precision, and back.
void to_operands(Precision precision, std::span<const float> values, void* operands);
void from_operands(Precision precision, const void* operands, std::span<float> values);

}  // namespace flow::cuda
