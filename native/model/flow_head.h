#pragma once

#include <string>
#include <vector>

#include "model/arena.h"
#include "model/config.h"
#include "model/trace.h"
#include "ops/ops.h"
#include "weights/weight_source.h"

namespace flow {

/// The flow head (`LiteFlowHead` of the original) as a sequence of `Ops`. When the weights are loaded, each batch
/// normalisation is folded into the convolution before it. The convolutions before and after a squeeze-and-excitation
/// compute its two halves.
class FlowHead {
 public:
  FlowHead(Ops& ops, const HeadConfig& config, int in_channels, WeightSource& weights);

  /// The intermediate matrices of one map size.
  struct Plan {
    /// `reduced` is the largest inner width of a squeeze-and-excitation.
    Plan(Ops& ops, const HeadConfig& config, Grid grid, int reduced);

    Grid grid;
    OperandMatrix proj1, proj2;  // N x proj
    OperandMatrix fused;         // N x 3*proj + window
    OperandMatrix depthwise;     // N x the widest input: between a depthwise and its pointwise convolution
    OperandMatrix x, y;          // N x fusion
    OperandMatrix trunk;         // N x fusion: output of the trunk, input of the mask
    OperandMatrix mask_hidden;   // N x fusion: computed beside the flow
    RealMatrix squeezed;         // of a SqueezeExcite
    RealMatrix coarse, refined;  // N x 2
    RealMatrix upsampled;        // 2 * H*up x W*up, planar
    RealMatrix matched;          // 2 * H x W, planar
    Arena arena;

   private:
    void lay_out(Arena& arena, const HeadConfig& config, int reduced);
  };

  Plan plan(Grid grid) const;

  /// out (2 * height x width, planar) = the flow from a to b (N x in_channels each), in pixels of out. `similarity` (1
  /// x 1), optional, receives match_similarity of their projections.
  void run(RealMatrix a, RealMatrix b, Plan& plan, RealMatrix out, RealMatrix similarity, Trace* trace) const;

  /// plan.matched = match_global of the last run's projected features: also where things went beyond the window.
  void match(Plan& plan) const { ops_.match_global(plan.proj1, plan.proj2, plan.grid, {}, plan.matched); }

 private:
  /// Depthwise 3x3, pointwise, batch normalisation, SiLU.
  struct DsConv {
    PackedPtr depthwise, pointwise;
    int in = 0;
  };
  struct Squeezer {
    PackedPtr weights;
    int reduced = 0;
    SqueezeExcite in(const Plan& plan) const;
  };
  /// DSConv, squeeze-and-excitation, DSConv.
  struct Group {
    DsConv first;
    Squeezer squeezer;
    DsConv second;
  };
  struct Loader;

  void ds_conv(const DsConv& conv, OperandMatrix in, const SqueezeExcite& excite, RealMatrix extra, Plan& plan,
               OperandMatrix out, const SqueezeExcite& squeeze) const;
  void trunk(const std::vector<Group>& groups, SqueezeExcite excite, OperandMatrix x, Plan& plan) const;
  void record_excited(Trace& trace, const std::string& name, OperandMatrix x, const SqueezeExcite& excite,
                      Plan& plan) const;

  Ops& ops_;
  HeadConfig config_;
  PackedPtr proj1_, proj2_;
  DsConv fuse_in_;
  Squeezer fuse_in_squeezer_;
  std::vector<Group> fuse_trunk_;
  DsConv flow_conv_;
  PackedPtr flow_out_;
  DsConv refine_in_;
  std::vector<Group> refine_trunk_;
  PackedPtr refine_out_;
  PackedPtr mask_conv_, mask_out_;
};

}  // namespace flow
