#include "cpu/refine.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <vector>

namespace flow::cpu {

// ---- vote -----------------------------------------------------------------------------------------------------------

namespace {

float relative_cost(const PatchState& state, const PatchTemplate& patch) {
  return std::min(1.F, state.cost / (patch.tt + patch_samples));
}

}  // namespace

void spread_row(const VoteJob& job, int row) {
  const int across = job.grid.across, radius = job.options.window;
  PatchState* states = job.found + static_cast<std::ptrdiff_t>(row) * across;
  const PatchTemplate* templates = job.templates + static_cast<std::ptrdiff_t>(row % job.grid.down) * across;
  const auto cost = [&](int i) { return relative_cost(states[i], templates[i]); };
  for (int i = 0; i < across; i++) {
    const int first = std::max(0, i - radius), last = std::min(across - 1, i + radius);
    float sum = 0;
    for (int k = first; k <= last; k++) sum += cost(k);
    states[i].relative = sum / static_cast<float>(last - first + 1);
  }
}

void vote_row(const VoteJob& job, int row) {
  const int across = job.grid.across, down = job.grid.down, radius = job.options.window;
  const int first = std::max(0, row - radius), last = std::min(down - 1, row + radius);
  constexpr float margin = 1e-3F;  // by which a later one is better
  for (int i = 0; i < across; i++) {
    const PatchTemplate& patch = job.templates[row * across + i];
    float least = INFINITY;
    const PatchState* best = nullptr;
    for (int k = 0; k < job.count; k++) {
      const PatchState* column = job.found + static_cast<std::ptrdiff_t>(k) * down * across + i;
      float sum = 0;
      for (int y = first; y <= last; y++) sum += column[y * across].relative;
      const float relative = relative_cost(column[row * across], patch);
      const float cost = relative + job.options.support * sum / static_cast<float>(last - first + 1);
      if (best == nullptr || cost < least - margin) least = cost, best = column + row * across;
    }
    job.patches[row * across + i] = {best->u, best->v, best->cost, relative_cost(*best, patch)};
  }
}

// ---- exposure -------------------------------------------------------------------------------------------------------

namespace {

/// `difference`, or 0 up to `noise`, and less of it up to twice `noise`.
float without_noise(float difference, float noise) {
  return difference * std::clamp(std::abs(difference) / noise - 1, 0.F, 1.F);
}

}  // namespace

void fit_channel(const PatchJob& job, const PatchState* states, int channel, float* exposure) {
  constexpr int rounds = 4;
  const PatchGrid grid = job.grid;
  const int step = exposure_step(grid);
  float gain = 1, offset = 0;
  for (int round = 0; round < rounds; round++) {
    double weight = 0, a = 0, b = 0, aa = 0, ab = 0;
    for (int j = 0; j < grid.down; j += step) {
      for (int i = 0; i < grid.across; i += step) {
        const PatchState& state = states[j * grid.across + i];
        const float x = static_cast<float>(patch_start(i, grid.stride, job.width)) + state.u;
        const float y = static_cast<float>(patch_start(j, grid.stride, job.height)) + state.v;
        const auto last_x = static_cast<float>(job.width - patch_side);
        const auto last_y = static_cast<float>(job.height - patch_side);
        if (x < 0 || y < 0 || x > last_x || y > last_y) continue;
        const float* p = job.to[channel].row(static_cast<int>(y + nearest_pixel)) + static_cast<int>(x + nearest_pixel);
        float sum = 0;
        for (int r = 0; r < patch_side; r++, p += job.to[channel].stride) {
          for (int c = 0; c < patch_side; c++) sum += p[c];
        }
        const double from = job.templates[j * grid.across + i].mean[channel], to = sum / patch_pixels;
        const double w = round == 0 ? 1 : 1 / (4 + std::abs(to - gain * from - offset));
        weight += w, a += w * from, b += w * to, aa += w * from * from, ab += w * from * to;
      }
    }
    if (weight <= 0) break;
    const double prior = 10 * weight;  // of a gain of 1: against patches that are all alike
    const double slope = (ab - a * b / weight + prior) / (aa - a * a / weight + prior);
    gain = static_cast<float>(slope);
    offset = static_cast<float>((b - slope * a) / weight);
    if (round < rounds - 1) continue;
    gain = 1 + without_noise(gain - 1, 0.04F);
    offset = without_noise(static_cast<float>((b - gain * a) / weight), 1);
  }
  exposure[channel] = std::clamp(gain, 0.3F, 3.F);
  exposure[4 + channel] = offset;
}

// ---- covered pixels -------------------------------------------------------------------------------------------------

namespace {

/// Where pixel (x, y) moves to, or null outside the frame.
int* target(const CoveredJob& job, int x, int y) {
  const FlowPlanes& flow = job.flow;
  const float to_x = std::floor(static_cast<float>(x) + flow.u[y * flow.stride + x] + nearest_pixel);
  const float to_y = std::floor(static_cast<float>(y) + flow.v[y * flow.stride + x] + nearest_pixel);
  const bool inside =
      to_x >= 0 && to_y >= 0 && to_x < static_cast<float>(flow.width) && to_y < static_cast<float>(flow.height);
  return inside ? job.best + static_cast<int>(to_y) * job.ld_best + static_cast<int>(to_x) : nullptr;
}

}  // namespace

void claim_row(const CoveredJob& job, int row) {
  for (int x = 0; x < job.flow.width; x++) {
    int* to = target(job, x, row);
    if (to == nullptr) continue;
    const std::atomic_ref<int> best(*to);
    const int own = std::bit_cast<int>(job.sure[row * job.ld_sure + x]);
    int seen = best.load(std::memory_order_relaxed);
    while (own > seen && !best.compare_exchange_weak(seen, own, std::memory_order_relaxed)) {
    }
  }
}

void cut_row(const CoveredJob& job, int row) {
  for (int x = 0; x < job.flow.width; x++) {
    float& sure = job.sure[row * job.ld_sure + x];
    const int* to = target(job, x, row);
    if (to == nullptr) {
      sure *= 0.2F;
    } else if (const auto surest = std::bit_cast<float>(*to); surest > 0) {
      sure *= std::clamp(10 * (sure / surest) - 9, 0.05F, 1.F);
    }
  }
}

}  // namespace flow::cpu
