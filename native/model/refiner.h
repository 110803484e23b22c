#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/arena.h"
#include "model/trace.h"
#include "ops/ops.h"

namespace flow {

struct PixelSize {
  int height;
  int width;
  bool operator==(const PixelSize&) const = default;
};

/// The pyramid of one frame, from the size of the flow down to a few pixels.
class FramePyramid {
 public:
  FramePyramid(Ops& ops, int height, int width);

  PixelSize size() const { return {levels_.front().height, levels_.front().width}; }
  std::span<const Image> levels() const { return levels_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::vector<Image> levels_;
  std::unique_ptr<Memory> memory_;
  std::size_t bytes_ = 0;
};

/// What a caller chooses.
enum class RefinePreset : std::uint8_t { fast, normal, best };
struct Refinement {
  RefinePreset preset = RefinePreset::normal;
  float smoothness = 1;  // factor on the weight of the flow's smoothness
};

/// How much is done for a flow.
struct RefineOptions {
  int finest = 0;       // the last level; a coarser one's flow is resized
  int rounds = 5;       // of propagation, at an eighth and coarser levels
  int fine_rounds = 3;  // at a half
  SearchOptions search;
  FillOptions fill;
  VariationalOptions variational;
  VariationalOptions full = {.outer = 2, .inner = 4, .smoothness = 40};  // at the full size
  LabelOptions labels;
  bool matches = true;     // start from matches of the whole map as well
  bool both_ways = false;  // the flow back is found first: `Refiner::run_back`
  bool sharpens = false;   // edges of the flow, before and after the step at the full size
  SharpenOptions sharpen;

  static RefineOptions fast();
  static RefineOptions best();
  static RefineOptions of(Refinement chosen);
};

/// Refines a network's flow by the pixels of its two frames, as a sequence of RefineStages. The network
/// knows where things went, also far and under another light; the pixels know it to a tenth of their width.
class Refiner {
 public:
  explicit Refiner(Ops& ops) : ops_(ops) {}

  /// The intermediate matrices for one size of the flow.
  class Plan {
   public:
    Plan(Ops& ops, int height, int width);
    std::size_t bytes() const { return arena_.bytes(); }

   private:
    friend class Refiner;
    struct Level {
      int height, width;
      PatchGrid grid;
      RealMatrix templates;  // N x template_cols
    };
    void lay_out(Arena& arena);

    int height_, width_;
    std::vector<Level> levels_;    // those with patches: from 1
    RealMatrix found_;             // (1 + most_starts) N x patch_cols, N of the level with the most patches
    RealMatrix patches_, others_;  // N x patch_cols
    RealMatrix exposure_;          // 1 x 8
    RealMatrix dense_, flow_;      // 2 h x w of level 1
    RealMatrix back_;              // 2 h x w of level 1: the last run's flow
    RealMatrix sure_, best_;       // h x w
    RealMatrix scratch_;           // 5 h x w
    RealMatrix coarse_;            // 2 h x w of level 3
    Labels labels_;
    RealMatrix doubled_;   // 2 H x W, in the memory of the labels and the measures
    RealMatrix measures_;  // measure_count * h x w
    Arena arena_;
  };

  Plan plan(int height, int width) const { return {ops_, height, width}; }

  /// A flow to begin with: planar, of any size and in pixels of its own. `cell` is the size of one of its independent
  /// values, in its pixels.
  struct Start {
    RealMatrix flow;
    int cell;
  };

  /// Finds the flow of level 1 and keeps it in the plan, for a `run` the other way.
  void run_back(const FramePyramid& from, const FramePyramid& to, std::span<const Start> starts,
                const RefineOptions& options, Plan& plan) const;

  /// out (2 * height x width, planar) = the flow from `from` to `to`. One to most_starts - 1 starts are refined to a
  /// quarter of the size; there, each pixel takes the motion of one of them or one that many pixels share. With
  /// `both_ways`, the plan's last run was the other way, and what does not come back by its flow counts little.
  void run(const FramePyramid& from, const FramePyramid& to, std::span<const Start> starts,
           const RefineOptions& options, Plan& plan, RealMatrix out) const;

  /// Whether flows of that size can be rated: there must be a level with patches.
  static bool can_rate(PixelSize size) { return std::min(size.height, size.width) >= 2 * patch_side; }
  /// confidence (of any size) = the probability that each motion of `flow` is right to 1 px. `flow` is that of the last
  /// `run` with this plan; `back`, optional, is the flow from `to` to `from`, of the same size.
  void rate(const FramePyramid& from, const FramePyramid& to, RealMatrix flow, RealMatrix back, Plan& plan,
            RealMatrix confidence, Trace* trace) const;

 private:
  struct Pair;
  void search(const Pair& pair, int level, std::span<const RealMatrix> hypotheses, bool zero, Plan& plan) const;
  void densify(const Pair& pair, int level, Plan& plan, RealMatrix dense) const;
  RealMatrix find_flow(const Pair& pair, std::span<const Start> starts, Plan& plan) const;
  RealMatrix refine_levels(const Pair& pair, int first, int last, RealMatrix above, std::span<const Start> starts,
                           Plan& plan, RealMatrix out) const;
  RealMatrix choose(const Pair& pair, int starts, Plan& plan) const;

  Ops& ops_;
};

}  // namespace flow
