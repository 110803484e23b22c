#include "cpu/match_global.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace flow::cpu {

namespace {

const float* features_of(RealMatrix map, int cell) {
  return static_cast<const float*>(map.data) + static_cast<std::ptrdiff_t>(cell) * map.stride;
}

/// Whether two cells are at most `distance` apart, down and across.
bool are_near(Grid grid, int a, int b, int distance) {
  return std::abs(a / grid.width - b / grid.width) <= distance && std::abs(a % grid.width - b % grid.width) <= distance;
}

/// Each lane of these loops has a result of its own, so that the compiler can use vectors.
constexpr int lanes = 16;

/// The largest of `count` values, at least `least`.
float largest(const float* values, int count, float least) {
  float most[lanes];
  std::fill_n(most, lanes, least);
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int k = 0; k < lanes; k++) most[k] = std::max(most[k], values[i + k]);
  }
  for (; i < count; i++) most[0] = std::max(most[0], values[i]);
  return *std::max_element(most, most + lanes);
}

float sum_of_squares(const float* values, int count) {
  float sums[lanes] = {};
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int k = 0; k < lanes; k++) sums[k] += values[i + k] * values[i + k];
  }
  for (; i < count; i++) sums[0] += values[i] * values[i];
  return std::accumulate(sums, sums + lanes, 0.F);
}

}  // namespace

void mean_channels(const MatchGlobalJob& job, int item) {
  const int channels = job.a.cols, cells = job.grid.size(), blocks = ceil_div(channels, mean_block);
  const int first = item % blocks * mean_block, count = std::min(mean_block, channels - first);
  const RealMatrix map = item < blocks ? job.a : job.b;
  double sums[mean_block] = {};
  for (int i = 0; i < cells; i++) {
    const float* features = features_of(map, i) + first;
    for (int c = 0; c < count; c++) sums[c] += features[c];
  }
  float* means = job.means + (item < blocks ? 0 : channels) + first;
  for (int c = 0; c < count; c++) means[c] = static_cast<float>(sums[c] / cells);
}

void describe_row(const MatchGlobalJob& job, int item) {
  const int channels = job.a.cols, height = job.grid.height, width = job.grid.width, y = item % height;
  const bool first = item < height;
  const RealMatrix map = first ? job.a : job.b;
  const float* means = job.means + (first ? 0 : channels);
  float* row = job.descriptors + static_cast<std::ptrdiff_t>(item) * width * job.ld;
  for (int x = 0; x < width; x++, row += job.ld) {
    std::fill_n(row, channels, 0.F);
    for (int ny = std::max(0, y - 1); ny <= std::min(height - 1, y + 1); ny++) {
      for (int nx = std::max(0, x - 1); nx <= std::min(width - 1, x + 1); nx++) {
        const float* features = features_of(map, ny * width + nx);
        for (int c = 0; c < channels; c++) row[c] += features[c] - means[c];
      }
    }
    const float square = sum_of_squares(row, channels);
    if (square > 0 && std::isfinite(square)) {
      const float inverse = 1 / std::sqrt(square);
      for (int c = 0; c < channels; c++) row[c] *= inverse;
    } else {
      std::fill_n(row, channels, 0.F);
    }
    if (first) continue;
    const int cell = y * width + x;
    float* column =
        job.panels + static_cast<std::ptrdiff_t>(cell / job.panel) * channels * job.panel + cell % job.panel;
    for (int c = 0; c < channels; c++) column[static_cast<std::ptrdiff_t>(c) * job.panel] = row[c];
  }
}

void match_cell(const MatchGlobalJob& job, int first, int item) {
  const Grid grid = job.grid;
  float* scores = job.scores + static_cast<std::ptrdiff_t>(item) * job.ld_scores;
  const float score = largest(scores, grid.size(), -2);
  const int best = static_cast<int>(std::find(scores, scores + grid.size(), score) - scores);
  const int y = best / grid.width, x = best % grid.width;
  const int top = std::max(0, y - match_near), bottom = std::min(grid.height, y + match_near + 1);
  const int left = std::max(0, x - match_near), right = std::min(grid.width, x + match_near + 1);
  float second = largest(scores, top * grid.width, 0);
  for (int row = top; row < bottom; row++) {
    const float* beside = scores + static_cast<std::ptrdiff_t>(row) * grid.width;
    second = largest(beside, left, second);
    second = largest(beside + right, grid.width - right, second);
  }
  second =
      largest(scores + static_cast<std::ptrdiff_t>(bottom) * grid.width, (grid.height - bottom) * grid.width, second);
  job.best[first + item] = best;
  const bool all_near = bottom - top == grid.height && right - left == grid.width;
  job.lead[first + item] = all_near ? 0 : score - second;
}

void match_back(const MatchGlobalJob& job, int first, int count, int item) {
  const int begin = item * match_columns, end = std::min(job.grid.size(), begin + match_columns);
  for (int i = 0; i < count; i++) {
    const float* scores = job.scores + static_cast<std::ptrdiff_t>(i) * job.ld_scores;
    for (int j = begin; j < end; j++) {
      const bool better = (first == 0 && i == 0) || scores[j] > job.back_score[j];
      job.best_back[j] = better ? first + i : job.best_back[j];
      job.back_score[j] = better ? scores[j] : job.back_score[j];
    }
  }
}

void accept_row(const MatchGlobalJob& job, int row) {
  const Grid grid = job.grid;
  const auto motion = [&](int cell, int& down, int& across) {
    down = job.best[cell] / grid.width - cell / grid.width, across = job.best[cell] % grid.width - cell % grid.width;
  };
  float* u = static_cast<float*>(job.flow.data) + static_cast<std::ptrdiff_t>(row) * job.flow.stride;
  float* v = u + static_cast<std::ptrdiff_t>(grid.height) * job.flow.stride;
  for (int x = 0; x < grid.width; x++) {
    const int cell = row * grid.width + x;
    int down = 0, across = 0, agree = -1;  // it agrees with itself
    motion(cell, down, across);
    for (int ny = std::max(0, row - 1); ny <= std::min(grid.height - 1, row + 1); ny++) {
      for (int nx = std::max(0, x - 1); nx <= std::min(grid.width - 1, x + 1); nx++) {
        int other_down = 0, other_across = 0;
        motion(ny * grid.width + nx, other_down, other_across);
        agree += std::abs(other_down - down) <= 1 && std::abs(other_across - across) <= 1 ? 1 : 0;
      }
    }
    const bool mutual = are_near(grid, job.best_back[job.best[cell]], cell, 1);
    const bool kept = mutual && job.lead[cell] > job.options.lead && agree >= job.options.agree;
    u[x] = kept ? static_cast<float>(across) : std::numeric_limits<float>::quiet_NaN();
    v[x] = kept ? static_cast<float>(down) : std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace flow::cpu
