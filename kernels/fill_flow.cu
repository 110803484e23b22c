// Fills a flow in where few pixels are sure of it, by the mean motion around, which does not reach over edges of the
// image: u' = k u + (1 - k) F(c u) / F(c), c = max(sure, 1e-4), k = sure / (sure + keep F(c)). F is the separable
// smoother of Min et al. (Fast Global Image Smoothing Based on Weighted Least Squares, IEEE TIP 2014): each row, and
// then each column, solves (1 + lambda (w + w')) F = f + lambda (w F_next + w' F_previous) with w = exp(-|difference| /
// edge).
//
// Thomas's algorithm: forwards, each step needs the factor of the step before, and backwards, its result. A thread
// solves one line, so only 32 threads of a block compute: warp 0. All eight warps bring the next 32 steps of 32 lines
// meanwhile, first to registers, then to shared memory, so that loads of rows are coalesced and their latency is
// hidden. Forwards, the right sides become sums and the weights factors; backwards, the sums become the results.
//
// A solve reads 4 planes and writes 4 forwards, reads 4 and writes 3 backwards: 960 x 540 is 31 MB, from L2. But the
// chain limits it: a step forwards waits for an fma, a reciprocal and a multiplication, some 40 cycles.

#include "fill_flow.h"

#include "image.cuh"

namespace flow::kernels {

KERNEL(fill_flow_start, FillFlowParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int height = p.image.height, width = p.image.width;
  if (x >= width || y >= height) return;
  float right = 0, down = 0;
  for (int channel = 0; channel < 3; channel++) {
    const float* pixel = pixel_of(p.image, channel, y, x);
    right += fabsf(pixel[1] - pixel[0]), down += fabsf(pixel[p.image.stride] - pixel[0]);
  }
  const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(y) * p.ld + x,
                       plane = static_cast<std::ptrdiff_t>(height) * p.ld;
  p.right[at] = x + 1 < width ? expf(-right / p.edge) : 0.F;
  p.down[at] = y + 1 < height ? expf(-down / p.edge) : 0.F;
  const float weight = fmaxf(p.sure[static_cast<std::ptrdiff_t>(y) * p.ld_sure + x], 1e-4F);
  const float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  p.sums[at] = weight * flow[0];
  p.sums[plane + at] = weight * flow[static_cast<std::ptrdiff_t>(height) * p.ld_flow];
  p.sums[2 * plane + at] = weight;
}

KERNEL(fill_flow_end, FillFlowParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int height = p.image.height;
  if (x >= p.image.width || y >= height) return;
  const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(y) * p.ld + x,
                       plane = static_cast<std::ptrdiff_t>(height) * p.ld;
  const float around = fmaxf(p.sums[2 * plane + at], 1e-12F);
  const float own = p.sure[static_cast<std::ptrdiff_t>(y) * p.ld_sure + x], keep = own / (own + p.keep * around);
  float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  for (int i = 0; i < 2; i++, flow += static_cast<std::ptrdiff_t>(height) * p.ld_flow) {
    const float mean = p.sums[i * plane + at] / around;
    *flow = mean + keep * (*flow - mean);
  }
}

/// Solves along rows, or along columns.
template <bool rows>
class FillSolver {
 public:
  DEVICE FillSolver(const FillFlowParams& params, float* tile)
      : p_(params),
        tile_(tile),
        lines_(rows ? params.image.height : params.image.width),
        steps_(rows ? params.image.width : params.image.height),
        tiles_(ceil_div(steps_, fill_flow_steps)) {}

  /// Every thread puts, stores and loads the same places of all tiles. So only warp 0 must wait for values, and the
  /// others for warp 0.
  DEVICE void run() {
    const float* weights = rows ? p_.right : p_.down;
    Values next;
    load(0, weights, next);
    for (int i = 0; i < tiles_; i++) {
      put(next);
      __syncthreads();
      if (i + 1 < tiles_) load(i + 1, weights, next);
      if (warp_id() == 0) forwards(count(i));
      __syncthreads();
      store(i, fill_flow_planes);
    }
    sum_u_ = sum_v_ = sum_weight_ = 0;
    load(tiles_ - 1, p_.factors, next);
    for (int i = tiles_ - 1; i >= 0; i--) {
      put(next);
      __syncthreads();
      if (i > 0) load(i - 1, p_.factors, next);
      if (warp_id() == 0) backwards(count(i));
      __syncthreads();
      store(i, fill_flow_planes - 1);
    }
  }

 private:
  static constexpr int parts = fill_flow_lines * fill_flow_steps / fill_flow_threads;  // of a plane of a tile
  static constexpr int line_stride = fill_flow_lines + 1;
  static constexpr int plane_size = fill_flow_steps * line_stride;
  using Values = float[fill_flow_planes][parts];

  /// One of the values that this thread carries. Neighbouring lanes have neighbouring columns.
  struct Place {
    int in_tile;
    std::ptrdiff_t in_plane;
    bool exists;
  };
  DEVICE Place place(int tile, int part) const {
    const int row = warp_id() + part * (fill_flow_threads / warp_size), col = lane_id();
    const int line_of_tile = rows ? row : col, step_of_tile = rows ? col : row;
    const int line = static_cast<int>(blockIdx.x) * fill_flow_lines + line_of_tile;
    const int step = tile * fill_flow_steps + step_of_tile;
    return {step_of_tile * line_stride + line_of_tile,
            static_cast<std::ptrdiff_t>(rows ? line : step) * p_.ld + (rows ? step : line),
            line < lines_ && step < steps_};
  }
  DEVICE float* sums(int plane) const { return p_.sums + static_cast<std::ptrdiff_t>(plane) * p_.image.height * p_.ld; }
  DEVICE int count(int tile) const { return min(fill_flow_steps, steps_ - tile * fill_flow_steps); }

  /// A tile's values, the last plane of which is `last`. Lines and steps that are not there are zeros.
  DEVICE void load(int tile, const float* last, Values& values) const {
#pragma unroll
    for (int part = 0; part < parts; part++) {
      const Place at = place(tile, part);
#pragma unroll
      for (int plane = 0; plane < fill_flow_planes; plane++) {
        const float* from = plane + 1 < fill_flow_planes ? sums(plane) : last;
        values[plane][part] = at.exists ? from[at.in_plane] : 0.F;
      }
    }
  }
  DEVICE void put(const Values& values) const {
#pragma unroll
    for (int part = 0; part < parts; part++) {
      const int at = place(0, part).in_tile;
#pragma unroll
      for (int plane = 0; plane < fill_flow_planes; plane++) tile_[plane * plane_size + at] = values[plane][part];
    }
  }
  DEVICE void store(int tile, int planes) const {
#pragma unroll
    for (int part = 0; part < parts; part++) {
      const Place at = place(tile, part);
      if (!at.exists) continue;
      for (int plane = 0; plane < planes; plane++) {
        float* to = plane + 1 < fill_flow_planes ? sums(plane) : p_.factors;
        to[at.in_plane] = tile_[plane * plane_size + at.in_tile];
      }
    }
  }
  /// The values of a step of this lane's line. The next step's are read before this step's are written, since the
  /// compiler does not know that they are others.
  struct Step {
    float u, v, weight, factor;
  };
  DEVICE Step read(int step) const {
    const float* at = tile_ + step * line_stride + lane_id();
    return {at[0], at[plane_size], at[2 * plane_size], at[3 * plane_size]};
  }
  DEVICE void write_sums(int step) const {
    float* at = tile_ + step * line_stride + lane_id();
    at[0] = sum_u_, at[plane_size] = sum_v_, at[2 * plane_size] = sum_weight_;
  }

  DEVICE void forwards(int count) {
    Step next = read(0);
    for (int step = 0; step < count; step++) {
      const Step now = next;
      if (step + 1 < count) next = read(step + 1);
      const float after = p_.lambda * now.factor;
      const float inverse = __fdividef(1.F, 1.F + before_ + after - before_ * factor_);  // of at least 1
      sum_u_ = (now.u + before_ * sum_u_) * inverse;
      sum_v_ = (now.v + before_ * sum_v_) * inverse;
      sum_weight_ = (now.weight + before_ * sum_weight_) * inverse;
      factor_ = after * inverse;
      before_ = after;
      write_sums(step);
      tile_[3 * plane_size + step * line_stride + lane_id()] = factor_;
    }
  }
  /// The factor of a line's last step is 0.
  DEVICE void backwards(int count) {
    Step next = read(count - 1);
    for (int step = count - 1; step >= 0; step--) {
      const Step now = next;
      if (step > 0) next = read(step - 1);
      sum_u_ = now.u + now.factor * sum_u_;
      sum_v_ = now.v + now.factor * sum_v_;
      sum_weight_ = now.weight + now.factor * sum_weight_;
      write_sums(step);
    }
  }

  const FillFlowParams& p_;
  float* tile_;
  int lines_, steps_, tiles_;
  float before_ = 0, factor_ = 0, sum_u_ = 0, sum_v_ = 0, sum_weight_ = 0;  // of this lane's line, in warp 0
};

KERNEL(fill_flow_rows, FillFlowParams, fill_flow_threads, 1) {
  SHARED_MEMORY(float, tile);
  FillSolver<true>(p, tile).run();
}

KERNEL(fill_flow_columns, FillFlowParams, fill_flow_threads, 1) {
  SHARED_MEMORY(float, tile);
  FillSolver<false>(p, tile).run();
}

}  // namespace flow::kernels
