#pragma once

namespace flow {

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
