#pragma once

#include <memory>
#include <span>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "ops/ops.h"

namespace flow::cpu {

/// Per-channel values, padded with zeros so that whole vectors can be read.
struct PackedValues : Packed {
  AlignedFloats values;
  int count = 0;
};

struct PackedNorm : Packed {
  AlignedFloats gamma, beta;
  float epsilon = 0;
};

/// See `Panels`.
struct PackedPanels : Packed {
  AlignedFloats data, bias;
  int count = 0;
  int k = 0;
  int up = 0;                        // upsampling factor of a mask
  std::unique_ptr<PackedNorm> norm;  // of what the product reads; null if there is none
  Panels view() const { return {data.data(), bias.data(), count, k}; }
};

struct PackedRope : Packed {
  AlignedFloats cos, sin;
};

/// 9 x stride, tap by tap.
struct PackedDepthwise : Packed {
  AlignedFloats taps;
  int channels = 0;
  int stride = 0;
};

struct PackedSqueezeExcite : Packed {
  AlignedFloats fc1, bias1, fc2, bias2;
  AlignedFloats hidden, scale;  // the last result
  int channels = 0;
  int reduced = 0;
};

AlignedFloats padded(std::span<const float> values);
std::unique_ptr<PackedNorm> pack_norm(const NormWeights& weights);
std::unique_ptr<PackedPanels> pack_panels(const LinearWeights& weights, int lanes);
/// A panel is [channels d.. | channels d + head_dim/2..] of one head; q, k and v follow each other.
std::unique_ptr<PackedPanels> pack_qkv_panels(const LinearWeights& weights, int heads, int lanes);
/// A panel is [gate channels | up channels].
std::unique_ptr<PackedPanels> pack_swiglu_panels(const LinearWeights& gate, const LinearWeights& up, int lanes);
/// k runs over taps, then input channels.
std::unique_ptr<PackedPanels> pack_conv3x3_panels(const LinearWeights& weights, int lanes);
std::unique_ptr<PackedDepthwise> pack_depthwise_taps(std::span<const float> weight, int channels);
std::unique_ptr<PackedSqueezeExcite> pack_se(const SqueezeExciteWeights& weights);

}  // namespace flow::cpu
