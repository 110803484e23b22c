#include "model/frame_stager.h"

#include <utility>

namespace flow {

FrameStager::Staged FrameStager::stage(const Request& request) {
  const std::uint64_t ahead = std::exchange(ahead_number_, 0);
  if (ahead == 0 || ahead != request.number) return stage_into(turn_, request);
  turn_ ^= 1;
  return ahead_;
}

void FrameStager::stage_ahead(const Request& request) {
  ahead_number_ = 0;
  if (request.number == 0) return;
  ahead_ = stage_into(turn_ ^ 1, request);
  ahead_number_ = request.number;
}

FrameStager::Staged FrameStager::stage_into(int turn, const Request& request) {
  const auto stage = [&](const Input& input, int slot) -> std::optional<Frame> {
    const auto* frame = std::get_if<Frame>(&input);
    if (frame == nullptr) return {};
    return ops_.stage(*frame, 2 * turn + slot, request.grid.height * patch_, request.grid.width * patch_);
  };
  Staged staged;
  staged.from = stage(request.from, 0);
  staged.to = stage(request.to, 1);
  return staged;
}

}  // namespace flow
