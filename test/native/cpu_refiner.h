#pragma once

// The refinement of moving pictures on the CPU.

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "cpu/cpu_ops.h"
#include "model/refiner.h"
#include "moving_pictures.h"
#include "refine_pair.h"

namespace flow {

/// A refiner on the CPU, for flows of one size.
class CpuRefiner {
 public:
  CpuRefiner(int height, int width, int threads, const cpu::Kernels& kernels = *cpu::runnable_kernels().front())
      : height_(height),
        width_(width),
        ops_(threads, kernels),
        refiner_(ops_),
        plan_(refiner_.plan(height, width)),
        from_(ops_, height, width),
        to_(ops_, height, width) {}

  /// `start` is planar, 2 * start_height x start_width, of cells of one pixel.
  std::vector<float> run(const Picture& from, const Picture& to, std::vector<float> start, int start_height,
                         const RefineOptions& options = {}, std::vector<float> second = {}) {
    std::vector<float> flow(static_cast<std::size_t>(2) * height_ * width_, NAN);
    run_into(from, to, start, start_height, options, flow, second);
    return flow;
  }
  /// `second`: another start of the same size, if there is one.
  void run_into(const Picture& from, const Picture& to, std::vector<float>& start, int start_height,
                const RefineOptions& options, std::vector<float>& flow, std::span<float> second = {}) {
    const int start_width = static_cast<int>(start.size()) / 2 / start_height;
    ops_.image_pyramid(from.frame(), from_.levels());
    ops_.image_pyramid(to.frame(), to_.levels());
    const Refiner::Start starts[] = {{{start.data(), 2 * start_height, start_width, start_width}, 1},
                                     {{second.data(), 2 * start_height, start_width, start_width}, 1}};
    refine_pair(refiner_, from_, to_, std::span(starts).first(second.empty() ? 1 : 2), options, plan_,
                {flow.data(), 2 * height_, width_, width_});
  }

 private:
  int height_, width_;
  cpu::CpuOps ops_;
  Refiner refiner_;
  Refiner::Plan plan_;
  FramePyramid from_, to_;
};

/// Mean end-point error over the pixels at least `border` px from the frame's edge.
inline double error_of(const std::vector<float>& flow, const std::vector<float>& truth, int height, int width,
                       int border) {
  double sum = 0;
  int count = 0;
  const auto size = static_cast<std::size_t>(height) * width;
  for (int y = border; y < height - border; y++) {
    for (int x = border; x < width - border; x++, count++) {
      const std::size_t i = static_cast<std::size_t>(y) * width + x;
      sum += std::hypot(flow[i] - truth[i], flow[size + i] - truth[size + i]);
    }
  }
  return sum / count;
}

inline bool is_finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

struct Preset {
  const char* name;
  RefineOptions options;
};
inline const Preset presets[] = {{"fast", RefineOptions::fast()}, {"default", {}}, {"best", RefineOptions::best()}};

}  // namespace flow
