#pragma once

#include <optional>

#include "model/request.h"
#include "ops/ops.h"

namespace flow {

/// Stages the frames of requests. Requests take turns with two pairs of staging slots, so the frames of the next
/// request can be staged while one runs.
class FrameStager {
 public:
  /// Frames in the engine's memory; empty for an input that is not a frame.
  struct Staged {
    std::optional<Frame> from, to;
  };

  /// `patch` is the side of a patch in pixels.
  FrameStager(Ops& ops, int patch) : ops_(ops), patch_(patch) {}

  /// Returns the staged frames of the request that runs now.
  Staged stage(const Request& request);
  /// Stages the frames of the request that runs next. Call it between a sequence and its `finish`.
  void stage_ahead(const Request& request);

 private:
  Staged stage_into(int turn, const Request& request);

  Ops& ops_;
  int patch_;
  int turn_ = 0;
  std::uint64_t ahead_number_ = 0;  // of the request whose frames are `ahead_`; 0: none
  Staged ahead_;
};

}  // namespace flow
