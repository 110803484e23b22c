#pragma once

#include <vector>

#include "model/arena.h"
#include "model/config.h"
#include "model/trace.h"
#include "ops/ops.h"
#include "weights/weight_source.h"

namespace flow {

/// The backbone: DINOv3's vision transformer as a sequence of `Ops`.
class Vit {
 public:
  Vit(Ops& ops, const BackboneConfig& config, WeightSource& weights);

  /// Everything that depends on the size of the input.
  struct Plan {
    Plan(Ops& ops, const BackboneConfig& config, std::span<const float> periods, Grid grid);

    Grid grid;
    AttentionShape shape;
    PackedPtr rope;
    OperandMatrix patches;  // N x 3*patch*patch
    RealMatrix x;           // prefix + N x dim: the residual stream
    OperandMatrix qkv;
    OperandMatrix attended;  // prefix + N x dim
    OperandMatrix hidden;    // prefix + N x hidden
    Arena arena;

   private:
    void lay_out(Arena& arena, Ops& ops, const BackboneConfig& config);
  };

  Plan plan(Grid grid) const { return {ops_, config_, periods_, grid}; }

  /// features (N x dim) = the patch tokens after the final norm.
  void run(const Frame& frame, Plan& plan, RealMatrix features, Trace* trace) const;

 private:
  struct Block {
    PackedPtr norm1, qkv, proj, norm2, ffn_in, ffn_out;
  };

  Ops& ops_;
  BackboneConfig config_;
  std::vector<float> periods_;
  PackedPtr patch_embed_, prefix_tokens_, norm_;
  std::vector<Block> blocks_;
};

/// Rows [first, first + count) of a matrix of float32.
RealMatrix rows_of(RealMatrix m, int first, int count);

}  // namespace flow
