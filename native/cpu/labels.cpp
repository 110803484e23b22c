#include "cpu/labels.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>

namespace flow::cpu {

namespace {

/// Added to the cost from label to label: of labels that are the same but for rounding, the first is chosen.
constexpr float label_order = 2e-3F;

/// The part of a pixel's window of 3 x 3 pixels that stays in the frame.
float part_inside(const FlowPlanes& flow, int x, int y) {
  const auto part = [](float to, int size) {
    return std::clamp((std::min(to, static_cast<float>(size - 1) - to) + 2) / 3, 0.F, 1.F);
  };
  const std::ptrdiff_t at = y * flow.stride + x;
  return part(static_cast<float>(x) + flow.u[at], flow.width) * part(static_cast<float>(y) + flow.v[at], flow.height);
}

/// Index of the pixel that (x, y) moves to, or -1 outside the frame.
int target(const FlowPlanes& flow, int x, int y) {
  const std::ptrdiff_t at = y * flow.stride + x;
  const float to_x = static_cast<float>(x) + flow.u[at] + nearest_pixel;
  const float to_y = static_cast<float>(y) + flow.v[at] + nearest_pixel;
  const bool inside =
      to_x >= 0 && to_y >= 0 && to_x < static_cast<float>(flow.width) && to_y < static_cast<float>(flow.height);
  return inside ? static_cast<int>(to_y) * flow.width + static_cast<int>(to_x) : -1;
}

}  // namespace

void rate(const LabelPlanes& labels, int starts, const LabelOptions& options, float* facts) {
  constexpr int most = 4096;
  std::array<float, most> costs;  // NOLINT(cppcoreguidelines-pro-type-member-init): `count` are set
  const int step = LabelGrids(labels.height, labels.width).rated;
  std::size_t count = 0;
  for (int y = step / 2; y < labels.height; y += step) {
    for (int x = step / 2; x < labels.width && count < most; x += step) {
      float least = INFINITY;
      for (int k = 0; k < starts; k++) {
        if (part_inside(labels.flow(k), x, y) > 0.9F) least = std::min(least, labels.cost(k)[y * labels.ld + x]);
      }
      if (least < INFINITY) costs[count++] = least;
    }
  }
  const auto middle = costs.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(costs.begin(), middle, costs.begin() + static_cast<std::ptrdiff_t>(count));
  facts[0] = count > 0 ? *middle : 0;
  facts[1] = std::max(0.05F, facts[0] + std::min(facts[0], options.outside));
}

void charge_outside_row(const LabelPlanes& labels, int label, int row, const LabelOptions& options, float outside) {
  const FlowPlanes flow = labels.flow(label);
  float *cost = labels.cost(label) + row * labels.ld, *scale = labels.scale(label) + row * labels.ld;
  const float *u = flow.u + row * flow.stride, *v = flow.v + row * flow.stride;
  const float later = label > 0 ? options.moving + label_order * static_cast<float>(label) : 0;
  for (int x = 0; x < labels.width; x++) {
    cost[x] = outside + part_inside(flow, x, row) * (cost[x] - outside) + later;
    scale[x] = 1 / std::sqrt(1 + options.relative * (std::abs(u[x]) + std::abs(v[x])));
  }
}

// ---- covered pixels -------------------------------------------------------------------------------------------------

void clear_claims(const CoveredLabelsJob& job, int row) {
  std::fill_n(job.claims + row * job.ld_claims, job.labels.width, ~std::uint64_t{0});
}

void claim_chosen(const CoveredLabelsJob& job, int row) {
  const int width = job.labels.width;
  for (int x = 0; x < width; x++) {
    const int label = static_cast<int>(job.chosen[row * job.ld_chosen + x]);
    const int to = target(job.labels.flow(label), x, row);
    if (to < 0) continue;
    const float cost = job.labels.cost(label)[row * job.labels.ld + x];
    const std::uint64_t own =
        std::uint64_t{std::bit_cast<std::uint32_t>(cost)} << 32 | static_cast<std::uint32_t>(row * width + x);
    const std::atomic_ref<std::uint64_t> claim(job.claims[to / width * job.ld_claims + to % width]);
    std::uint64_t seen = claim.load(std::memory_order_relaxed);
    while (own < seen && !claim.compare_exchange_weak(seen, own, std::memory_order_relaxed)) {
    }
  }
}

void charge_claimed(const CoveredLabelsJob& job, int label, int row) {
  constexpr int near = 6;
  constexpr float margin = 0.05F;
  const int width = job.labels.width;
  const FlowPlanes flow = job.labels.flow(label);
  float* costs = job.labels.cost(label) + row * job.labels.ld;
  for (int x = 0; x < width; x++) {
    const int to = target(flow, x, row);
    if (to < 0) continue;
    const std::uint64_t claim = job.claims[to / width * job.ld_claims + to % width];
    if (claim == ~std::uint64_t{0}) continue;
    const auto from = static_cast<int>(claim & 0xffffffff);
    if (std::abs(from / width - row) + std::abs(from % width - x) <= near) continue;
    const auto least = std::bit_cast<float>(static_cast<std::uint32_t>(claim >> 32));
    if (least < costs[x] + margin) costs[x] = std::max(costs[x], job.covered);
  }
}

// ---- result ---------------------------------------------------------------------------------------------------------

void take_chosen(const LabelPlanes& labels, const float* chosen, int row, const FlowPlanes& flow) {
  for (int x = 0; x < labels.width; x++) {
    const FlowPlanes from = labels.flow(static_cast<int>(chosen[x]));
    flow.u[row * flow.stride + x] = from.u[row * from.stride + x];
    flow.v[row * flow.stride + x] = from.v[row * from.stride + x];
  }
}

}  // namespace flow::cpu
