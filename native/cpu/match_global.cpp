#include "cpu/match_global.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace flow::cpu {

namespace {

const float* features_of(RealMatrix map, int cell) {
  return static_cast<const float*>(map.data) + static_cast<std::ptrdiff_t>(cell) * map.stride;
}

/// Whether two cells are at most `distance` apart, down and across.
bool are_near(Grid grid, int a, int b, int distance) {
  return std::abs(a / grid.width - b / grid.width) <= distance && std::abs(a % grid.width - b % grid.width) <= distance;
}

/// The place of the largest value; the first of equal ones.
int largest(const float* values, int count) {
  float most = values[0];
  for (int i = 1; i < count; i++) most = std::max(most, values[i]);
  return static_cast<int>(std::find(values, values + count, most) - values);
}

}  // namespace

void mean_channel(const MatchGlobalJob& job, int item) {
  const int channels = job.a.cols, cells = job.grid.size();
  const RealMatrix map = item < channels ? job.a : job.b;
  const float* value = static_cast<const float*>(map.data) + item % channels;
  double sum = 0;
  for (int i = 0; i < cells; i++) sum += value[static_cast<std::ptrdiff_t>(i) * map.stride];
  job.means[item] = static_cast<float>(sum / cells);
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
    float square = 0;
    for (int c = 0; c < channels; c++) square += row[c] * row[c];
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
  const int best = largest(scores, grid.size());
  const float score = scores[best];
  const int y = best / grid.width, x = best % grid.width;
  float second = 0;
  for (int row = 0; row < grid.height; row++) {
    const bool near = std::abs(row - y) <= match_near;
    const int left = near ? std::max(0, x - match_near) : grid.width;
    const int right = near ? std::min(grid.width, x + match_near + 1) : grid.width;
    for (int i = 0; i < left; i++) second = std::max(second, scores[row * grid.width + i]);
    for (int i = right; i < grid.width; i++) second = std::max(second, scores[row * grid.width + i]);
  }
  job.best[first + item] = best;
  job.lead[first + item] = score - second;
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
