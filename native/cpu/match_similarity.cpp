#include "cpu/match_similarity.h"

#include <algorithm>
#include <cmath>

namespace flow::cpu {

namespace {

const float* fused_row(const MatchSimilarityJob& job, int pixel) {
  return static_cast<const float*>(job.fused.data) + static_cast<std::ptrdiff_t>(pixel) * job.fused.stride;
}

float inverse_norm(const float* x, int count) {
  float square = 0;
  for (int i = 0; i < count; i++) square += x[i] * x[i];
  return square > 0 ? 1.F / std::sqrt(square) : 0.F;
}

float best_cosine(const MatchSimilarityJob& job, int y, int x) {
  const int width = job.grid.width, side = 2 * job.radius + 1, pixel = y * width + x;
  const float* dots = fused_row(job, pixel) + static_cast<std::ptrdiff_t>(3) * job.channels;
  float best = -1;
  for (int dy = -job.radius; dy <= job.radius; dy++) {
    if (y + dy < 0 || y + dy >= job.grid.height) continue;
    for (int dx = std::max(-job.radius, -x); dx <= std::min(job.radius, width - 1 - x); dx++) {
      const float dot = dots[(dy + job.radius) * side + dx + job.radius];
      best = std::max(best, dot * job.inverse_b[(y + dy) * width + x + dx]);
    }
  }
  return best * job.inverse_a[pixel] * std::sqrt(static_cast<float>(job.channels));
}

}  // namespace

void match_norms(const MatchSimilarityJob& job, int row) {
  for (int pixel = row * job.grid.width; pixel < (row + 1) * job.grid.width; pixel++) {
    job.inverse_a[pixel] = inverse_norm(fused_row(job, pixel), job.channels);
    job.inverse_b[pixel] = inverse_norm(fused_row(job, pixel) + job.channels, job.channels);
  }
}

double best_cosines(const MatchSimilarityJob& job, int row) {
  double sum = 0;
  for (int x = 0; x < job.grid.width; x++) sum += best_cosine(job, row, x);
  return sum;
}

}  // namespace flow::cpu
