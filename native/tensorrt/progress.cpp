#include "tensorrt/progress.h"

#include <algorithm>

namespace flow::tensorrt {

void Progress::phase_start(const char* phase, const char* parent, std::int32_t steps) noexcept {
  const std::lock_guard lock(mutex_);
  phases_[phase] = {parent == nullptr ? "" : parent, static_cast<float>(std::max(steps, 1)), 0};
  tell();
}

bool Progress::step_complete(const char* phase, std::int32_t step) noexcept {
  const std::lock_guard lock(mutex_);
  if (const auto found = phases_.find(phase); found != phases_.end()) {
    found->second.done = static_cast<float>(step) + 1;
  }
  return tell();
}

void Progress::phase_finish(const char* phase) noexcept {
  const std::lock_guard lock(mutex_);
  phases_.erase(phase);
  tell();
}

/// Of a phase: its steps, and the share of the phase that is its next step.
float Progress::share(const std::string& phase) const {
  const auto& [parent, steps, done] = phases_.at(phase);
  float next = 0;
  for (const auto& [name, child] : phases_) {
    if (child.parent == phase && name != phase) next = std::max(next, share(name));
  }
  return std::min((done + next) / steps, 1.F);
}

bool Progress::tell() {
  for (const auto& [name, phase] : phases_) {
    if (phase.parent.empty()) told_ = std::max(told_, share(name));
  }
  if (!ended_ && !go_on_(told_)) ended_ = true;
  return !ended_;
}

}  // namespace flow::tensorrt
