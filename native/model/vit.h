#pragma once

#include <array>
#include <span>
#include <vector>

#include "model/arena.h"
#include "model/config.h"
#include "model/numerics.h"
#include "model/trace.h"
#include "ops/ops.h"
#include "weights/weight_source.h"

namespace flow {

/// The backbone: DINOv3's vision transformer as a sequence of `Ops`.
class Vit {
 public:
  Vit(Ops& ops, const BackboneConfig& config, WeightSource& weights);

  /// The buffers and the RoPE table for one input size.
  struct Plan {
    Plan(Ops& ops, const BackboneConfig& config, std::span<const float> periods, Grid grid, int images);

    Grid grid;
    AttentionShape shape;
    PackedPtr rope;
    OperandMatrix patches;  // images * N x 3*patch*patch
    Residual x;             // images * (prefix + N) x dim
    OperandMatrix qkv;
    OperandMatrix attended;  // images * (prefix + N) x dim
    OperandMatrix hidden;    // images * (prefix + N) x hidden
    Arena arena;

   private:
    void lay_out(Arena& arena, Ops& ops, const BackboneConfig& config);
  };

  /// A plan for passes over `images` images.
  Plan plan(Grid grid, int images) const { return {ops_, config_, periods_, grid, images}; }

  /// A staged frame, and memory for its features (N x dim): the patch tokens after the final norm.
  struct Image {
    Frame frame;
    RealMatrix features;
  };
  /// One pass over `images`, as many as the plan is for. A trace needs a pass over one image.
  void run(std::span<const Image> images, Plan& plan, Trace* trace) const;
  /// The same for one image, by a backbone that another library compiled.
  void run(const Image& image, Plan& plan, CompiledBackbone& compiled) const;
  /// The pass from the patches of its images, which are in the plan, to the features of each.
  void encode(Plan& plan, std::span<const RealMatrix> features, Trace* trace) const;

  /// After a pass whose values were out of range: makes each norm that was a stage of its own. Returns whether there
  /// was one. Then nothing is known of the range of what follows it.
  bool take_norms_apart();
  /// After such a pass without such a norm: scales each of the operands that were out of range, so that the next pass
  /// is right. Returns false if that does not help, or nothing of the blocks was out of range.
  bool scale_operands();
  /// The operands that `scale_operands` has scaled.
  std::vector<Numerics::Scaled> scaled() const;

 private:
  OperandMatrix patches_of(const Plan& plan, int image) const;

  /// Operands that a stage of a block hands to the next, with a scale of their own.
  enum Operands { query_operands, value_operands, hidden_operands, operands_count };

  struct Block {
    PackedPtr qkv, proj, ffn_in, ffn_out;            // qkv and ffn_in with the norms before them
    std::array<int, operands_count> exponents = {};  // of the powers of two that Operands are multiplied by
  };

  int exponent_in_range(const Block& block, Operands operands) const;
  void scale(Block& block, Operands operands, int exponent);

  Ops& ops_;
  BackboneConfig config_;
  std::vector<float> periods_;
  PackedPtr patch_embed_, prefix_tokens_, norm_;
  std::vector<Block> blocks_;
};

}  // namespace flow
