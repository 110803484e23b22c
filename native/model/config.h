#pragma once

#include <array>

namespace flow {

/// The scale that a backbone expects of pixels: (value - mean) / deviation in each channel, with values from 0 to 1.
/// The default is ImageNet's, which every engine prepares pixels with.
struct Normalization {
  std::array<double, 3> mean{.485, .456, .406}, deviation{.229, .224, .225};
  bool operator==(const Normalization&) const = default;
};

/// A DINOv3 vision transformer (Siméoni et al., 2025). Mirrors BackboneConfig of lib/checkpoint/tensor.ts.
struct BackboneConfig {
  enum class Ffn { swiglu, mlp };
  /// Rounded: to bfloat16, as in Meta's files, where the file has float32 periods or none.
  enum class RopePeriods { as_they_are, rounded };
  int dim;
  int depth;
  int heads;
  Ffn ffn;
  int hidden;
  int patch;
  int storage_tokens;
  RopePeriods rope_periods = RopePeriods::as_they_are;
  Normalization normalization = {};

  int head_dim() const { return dim / heads; }
  int prefix() const { return 1 + storage_tokens; }
};

/// The light flow head. Mirrors HeadConfig of lib/checkpoint/tensor.ts.
struct HeadConfig {
  int proj;
  int radius;
  int fusion;
  int layers;
  int up;
  int refine;

  int window() const { return (2 * radius + 1) * (2 * radius + 1); }
  int fused() const { return 3 * proj + window(); }
};

constexpr float norm_epsilon = 1e-5F;

}  // namespace flow
