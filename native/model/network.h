#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "model/backbone_trial.h"
#include "model/feature_store.h"
#include "model/flow_head.h"
#include "model/frame_stager.h"
#include "model/refiner.h"
#include "model/request.h"
#include "model/scratch_flow.h"
#include "model/vit.h"

namespace flow {

/// Backbone and head on one engine, and their buffers for each input size. One thread at a time.
class Network {
 public:
  Network(std::unique_ptr<Ops> ops, const BackboneConfig& backbone, const HeadConfig& head,
          WeightSource& backbone_weights, WeightSource& head_weights);

  /// Computes the results that `request` asks for. They are written when this returns, unless the outcome says that
  /// they are still being sent. Throws Error: `argument` for inputs of different sizes, `disposed` for features that
  /// are not kept any more, `out_of_memory`, `device`, `precision` for values that are out of range whatever their
  /// scale. After an error nothing is kept. Once this returns or throws, the memory of the request's frames is not used
  /// any more, nor that of its results, unless they are being sent.
  ///
  /// Calls `while_computing` while a device computes, if the engine gains by stage_ahead. It returns whether other
  /// requests wait. Only then results may be sent while the next request is computed. It may be called twice, because a
  /// request may arrive meanwhile.
  Outcome run(const Request& request, const std::function<bool()>& while_computing = {});

  /// Waits for the results that are being sent; does nothing if none are. Call it in `while_computing` of the next
  /// request, or before any other call. Throws Error(device). The features that the request kept stay, but after this
  /// error the network cannot be used any more.
  void deliver() { ops_->deliver(); }

  /// Copies the frames of the next request to the device. Call it in `while_computing` of the running request.
  void stage_ahead(const Request& request) { stager_.stage_ahead(request); }
  /// Call this between requests, instead of `run` for a request whose frames were staged ahead: once it returns, their
  /// memory is not read any more.
  void withdraw() { ops_->abandon(); }

  /// What compiles the backbone for this device, or why nothing can.
  BackboneCompiler::Info describe_compiler();
  /// The same, to compile with. Throws Error(device) on an engine that has none.
  BackboneCompiler& compiler();
  /// Loads a plan for frames of `grid`, and tries it. From then on they are encoded by it, if it computes what the
  /// engine's own stages compute, and, if `only_if_faster`, is faster. Throws Error(device) for a plan that cannot be
  /// loaded.
  BackboneTrial use_plan(Grid grid, std::span<const std::byte> plan, bool only_if_faster);

  /// What is done about values beyond the range of operands, since the first frame that had some.
  Numerics numerics() const { return {ops_->precision(), vit_.scaled()}; }

  /// Frees the features of that name, if they are kept.
  void release(FeatureId id) { features_.release(id); }
  /// Where the features of that name are. Any thread. Throws Error(disposed) for a name that is not in use.
  FeatureMemory features(FeatureId id) const { return features_.memory_of(id); }
  /// Copies rows after all requests that ran before, and after the points in `streams`.
  void copy(const RowCopy& rows, const OtherStreams& streams = {});
  /// Bytes of the features that are kept.
  std::size_t kept_feature_bytes() const { return features_.kept_bytes(); }

 private:
  /// Buffers for one input size.
  struct Plan {
    std::uint64_t id;                   // no other plan ever has it: part of the key of a recorded sequence
    Vit::Plan vit;                      // for one frame
    std::optional<Vit::Plan> vit_pair;  // for both frames of a pair, if one pass is faster than two
    FlowHead::Plan head;
  };
  /// Buffers for one size of the flow that is refined.
  struct RefinePlan {
    std::uint64_t id;  // as that of a Plan
    PixelSize size;
    Refiner::Plan buffers;
  };
  /// A backbone that another library compiled.
  struct Compiled {
    Grid grid;
    std::unique_ptr<CompiledBackbone> backbone;
  };
  struct Source;  // an input in the engine's memory
  struct Job;     // a request whose inputs and results are there
  Outcome answer(const Request& request, const std::function<bool()>& while_computing);
  bool answer_duplicate(const Request& request);
  CompiledBackbone* compiled(Grid grid) const;
  Grid grid_of(const Request& request) const;
  std::optional<PixelSize> refined_size(const Request& request) const;
  Plan& plan(Grid grid);
  RefinePlan& refine_plan(PixelSize size);
  Source source(const Input& input, const std::optional<Frame>& staged, Grid grid, std::optional<PixelSize> refined);
  Job place(const Request& request);
  RealMatrix flow_output(std::span<float> host, int slot, const Request& request);
  void make_room(int& scalings);
  void compute(const Job& job, Trace* trace) const;
  void find_flow(const Job& job, const FeatureSlot& from, const FeatureSlot& to, bool after_back, RealMatrix out,
                 RealMatrix similarity, Trace* trace) const;
  void encode(const Source& source, Plan& plan, Trace* trace) const;

  std::unique_ptr<Ops> ops_;
  Vit vit_;
  FlowHead head_;
  Refiner refiner_;
  FeatureStore features_;
  FrameStager stager_;
  int patch_;
  std::vector<Compiled> compiled_;
  std::uint64_t plans_made_ = 0;
  bool numerics_changed_ = false;                          // since the last outcome
  std::vector<std::unique_ptr<Plan>> plans_;               // most recently used first
  std::vector<std::unique_ptr<RefinePlan>> refine_plans_;  // likewise
  std::array<ScratchFlow, 3> scratch_;                     // forward, backward, refined
};

}  // namespace flow
