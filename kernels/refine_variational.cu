// The variational step: the flow's change (du, dv) that minimises, over all pixels, the sum of
//
//   delta psi(n e^2) + gamma psi(n_x e_x^2 + n_y e_y^2) + alpha psi(|grad u|^2 + |grad v|^2), psi(s) = sqrt(s + 0.02^2)
//
// e = I_t + I_x du + I_y dv, e_x and e_y the same for the derivatives of I, n = 1 / (|gradient|^2 + 0.1^2), 0 where the
// motion leaves the frame (Brox et al., ECCV 2004; Zimmer, Bruhn and Weickert, IJCV 2011). `outer` times, the weights
// psi' are fixed, and `inner` sweeps of red-black SOR approach the solution of the linear equations. Pixels with x + y
// even are red.
//
// warp_luma writes the mean of frame 1 and the warped frame 2, and their difference. refine_variational solves tiles:
// 48 x 64 pixels and up to 8 around, all iterations in one launch. The tiles and the order of the updates are those of
// the CPU engine, so the results are the same but for rounding.
//
// u, v and the weight of the smoothness are in shared memory, even and odd columns apart: the pixels of one colour in a
// row are neighbours then, and a warp's accesses do not conflict. A thread has 8 pixels, 4 of each colour, and holds
// their equations in registers, 5 numbers each. The derivatives, 13 more, would not fit; they are computed anew in each
// outer iteration, from L1. A weight belongs to a pixel and its neighbours to the right and below; at the tile's edges
// it counts as 0.
//
// The halo makes 5120 pixels of 3072. Two outer iterations of four sweeps are some 600 FLOPs and 130 accesses of shared
// memory for each of them: 1920 x 1080 is 690 tiles, 2 GFLOP and 1.8 GB. The bandwidth of shared memory and the
// barriers after each half sweep limit it. Both kernels together move 120 MB, most of it within L2.

#include "refine_variational.h"

#include "image.cuh"

namespace flow::kernels {

KERNEL(warp_luma, WarpLumaParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int height = p.from.height, width = p.from.width;
  if (x >= width || y >= height) return;
  const float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  const float u = sane_motion(flow[0], height, width);
  const float v = sane_motion(flow[static_cast<std::ptrdiff_t>(height) * p.ld_flow], height, width);
  const float warped =
      between_pixels(p.to, p.plane, position_in(p.to, static_cast<float>(y) + v, static_cast<float>(x) + u, 1));
  const float own = *pixel_of(p.from, p.plane, y, x);
  const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(y) * width + x;
  p.mean[at] = 0.5F * (warped + own);
  p.difference[at] = warped - own;
}

/// psi' for the square of what it is applied to.
DEVICE float robust_weight(float square) { return rsqrtf(square + 4e-4F); }

/// The linear equations of a pixel, solved for it: (u, v) = inverse (known + the neighbours' weighted motion).
struct VariationalEquations {
  float known_u, known_v;
  float uu, uv, vv;  // of the inverse
};

/// Sums over the constancies of a pixel, each of which says e = t + x du + y dv = 0.
struct VariationalData {
  float uu, uv, vv, ut, vt;

  DEVICE void add(float weight, float x, float y, float t) {
    const float wx = weight * x, wy = weight * y;
    uu += wx * x, uv += wx * y, vv += wy * y, ut += wx * t, vt += wy * t;
  }
};

/// A plane of warp_luma around one of its pixels. Beyond the edges, the edge is repeated.
struct LumaAround {
  const float* plane;
  int height, width;
  int y, x;

  DEVICE float at(int dy, int dx) const {
    return plane[nearest_inside(y + dy, height) * width + nearest_inside(x + dx, width)];
  }
  DEVICE float gradient_x(int dy, int dx) const { return 0.5F * (at(dy, dx + 1) - at(dy, dx - 1)); }
  DEVICE float gradient_y(int dy, int dx) const { return 0.5F * (at(dy + 1, dx) - at(dy - 1, dx)); }
};

/// The data of the pixel that `mean` and `difference` are around, weighted for the change (du, dv). `counts` is 0 where
/// the motion leaves the frame.
DEVICE VariationalData weighted_data(const RefineVariationalParams& p, const LumaAround& mean,
                                     const LumaAround& difference, float counts, float du, float dv) {
  VariationalData data{};
  {
    const float x = mean.gradient_x(0, 0), y = mean.gradient_y(0, 0), t = difference.at(0, 0);
    const float n = __fdividef(counts, x * x + y * y + 0.01F), e = t + x * du + y * dv;
    data.add(0.5F * p.brightness * n * robust_weight(e * e * n), x, y, t);
  }
  const float xx = 0.5F * (mean.gradient_x(0, 1) - mean.gradient_x(0, -1));
  const float xy = 0.5F * (mean.gradient_x(1, 0) - mean.gradient_x(-1, 0));
  const float yy = 0.5F * (mean.gradient_y(1, 0) - mean.gradient_y(-1, 0));
  const float xt = difference.gradient_x(0, 0), yt = difference.gradient_y(0, 0);
  const float nx = __fdividef(counts, xx * xx + xy * xy + 0.01F), ny = __fdividef(counts, yy * yy + xy * xy + 0.01F);
  const float ex = xt + xx * du + xy * dv, ey = yt + xy * du + yy * dv;
  const float weight = 0.5F * p.gradient * robust_weight(ex * ex * nx + ey * ey * ny);
  data.add(weight * nx, xx, xy, xt);
  data.add(weight * ny, xy, yy, yt);
  return data;
}

class VariationalTile {
 public:
  DEVICE VariationalTile(const RefineVariationalParams& params, float* memory)
      : p_(params), u_(memory), v_(u_ + 2 * variational_half), weight_(v_ + 2 * variational_half) {
    first_x_ = static_cast<int>(blockIdx.x) * variational_tile_width;
    first_y_ = static_cast<int>(blockIdx.y) * variational_tile_height;
    end_x_ = min(first_x_ + variational_tile_width, p_.width);
    end_y_ = min(first_y_ + variational_tile_height, p_.height);
    left_ = max(first_x_ - p_.halo, 0), top_ = max(first_y_ - p_.halo, 0);
    width_ = min(end_x_ + p_.halo, p_.width) - left_, height_ = min(end_y_ + p_.halo, p_.height) - top_;
    const int pair = static_cast<int>(threadIdx.x) % variational_pairs;
    row_ = static_cast<int>(threadIdx.x) / variational_pairs;
#pragma unroll
    for (int color = 0; color < 2; color++) {
      const int odd = (row_ + color) % 2, x = 2 * pair + odd;
      columns_[color] = {x, odd * variational_half + (row_ + 1) * variational_pairs + pair,
                         x == 0     ? 0
                         : odd == 0 ? variational_half - 1
                                    : -variational_half,
                         x + 1 == width_ ? 0
                         : odd == 0      ? variational_half
                                         : 1 - variational_half};
    }
  }

  DEVICE void run() {
    for (int i = static_cast<int>(threadIdx.x); i < 3 * 2 * variational_half; i += variational_threads) u_[i] = 0;
    __syncthreads();  // neighbours outside the tile are 0
    for_each_pixel([&](const Pixel& pixel) { u_[pixel.at] = start(0, pixel), v_[pixel.at] = start(1, pixel); });
    __syncthreads();
    for (int k = 0; k < p_.outer; k++) {
      for_each_pixel([&](const Pixel& pixel) { weight_[pixel.at] = smoothness(pixel); });
      __syncthreads();
      weigh();
      for (int i = 0; i < p_.inner; i++) {
#pragma unroll
        for (int color = 0; color < 2; color++) {
          sweep(color);
          __syncthreads();
        }
      }
    }
    for_each_pixel([&](const Pixel& pixel) { store(pixel); });
  }

 private:
  static constexpr int threads_down = variational_threads / variational_pairs;
  static constexpr int rows_of_thread = variational_rows / threads_down;
  static_assert(variational_threads % variational_pairs == 0 && variational_rows % threads_down == 0);
  static_assert(threads_down % 2 == 0);  // the rows of a thread are all even or all odd

  /// The columns of this thread's pixels of one colour.
  struct Column {
    int x;
    int first;              // where the pixel of the thread's first row is in shared memory
    int to_left, to_right;  // from a pixel to the neighbours in its row; 0 at the tile's edges
  };
  struct Pixel {
    int y, x;
    int at, left, right;  // where it is in shared memory, and its neighbours
    DEVICE int above() const { return at - variational_pairs; }
    DEVICE int below() const { return at + variational_pairs; }
  };
  DEVICE Pixel pixel_of_thread(int row, int color) const {
    const Column& column = columns_[color];
    const int at = column.first + row * threads_down * variational_pairs;
    return {row_ + row * threads_down, column.x, at, at + column.to_left, at + column.to_right};
  }
  DEVICE bool exists(const Pixel& pixel) const { return pixel.y < height_ && pixel.x < width_; }
  template <class Work>
  DEVICE void for_each_pixel(const Work& work) const {
#pragma unroll
    for (int i = 0; i < 2 * rows_of_thread; i++) {
      const Pixel pixel = pixel_of_thread(i / 2, i % 2);
      if (exists(pixel)) work(pixel);
    }
  }

  /// The motion that the step begins with.
  DEVICE float start(int plane, const Pixel& pixel) const {
    const std::ptrdiff_t row = plane * p_.height + top_ + pixel.y;
    return sane_motion(p_.flow[row * p_.ld_flow + left_ + pixel.x], p_.height, p_.width);
  }

  /// Between a pixel and its neighbours to the right and below.
  DEVICE float smoothness(const Pixel& pixel) const {
    const int below = pixel.y + 1 < height_ ? pixel.below() : pixel.at;
    const float u = u_[pixel.at], v = v_[pixel.at];
    const float ux = u_[pixel.right] - u, vx = v_[pixel.right] - v, uy = u_[below] - u, vy = v_[below] - v;
    return 0.5F * p_.smoothness * robust_weight(ux * ux + vx * vx + uy * uy + vy * vy);
  }

  /// Weights between a pixel and its neighbours; 0 at the tile's edges.
  struct Weights {
    float left, right, above, below;
  };
  DEVICE Weights weights(const Pixel& pixel) const {
    const float own = weight_[pixel.at];
    return {pixel.x > 0 ? weight_[pixel.left] : 0.F, pixel.x + 1 < width_ ? own : 0.F, weight_[pixel.above()],
            pixel.y + 1 < height_ ? own : 0.F};
  }

  /// Finds the equations for the present robust weights. Unrolled, this would need more registers than there are. Their
  /// number cannot depend on a loop's counter, so the equations of all rows move on by one row instead.
  DEVICE void weigh() {
#pragma unroll 1
    for (int row = 0; row < rows_of_thread; row++) {
#pragma unroll
      for (int i = 0; i < rows_of_thread; i++) {
#pragma unroll
        for (int color = 0; color < 2; color++) {
          const Pixel pixel = pixel_of_thread(row, color);
          if (i + 1 < rows_of_thread) {
            equations_[i][color] = equations_[i + 1][color];
          } else if (exists(pixel)) {
            equations_[i][color] = equations(pixel);
          }
        }
      }
    }
  }

  DEVICE VariationalEquations equations(const Pixel& pixel) const {
    const int x = left_ + pixel.x, y = top_ + pixel.y;
    const float from_u = start(0, pixel), from_v = start(1, pixel);
    const float to_x = static_cast<float>(x) + from_u, to_y = static_cast<float>(y) + from_v;
    const bool inside =
        to_x >= 0 && to_x <= static_cast<float>(p_.width - 1) && to_y >= 0 && to_y <= static_cast<float>(p_.height - 1);
    const VariationalData d =
        weighted_data(p_, {p_.mean, p_.height, p_.width, y, x}, {p_.difference, p_.height, p_.width, y, x},
                      inside ? 1.F : 0.F, u_[pixel.at] - from_u, v_[pixel.at] - from_v);
    const Weights w = weights(pixel);
    const float around = w.right + w.left + w.below + w.above + 1e-6F;
    const float a = d.uu + around, b = d.vv + around, inverse = __fdividef(1.F, a * b - d.uv * d.uv);
    return {d.uu * from_u + d.uv * from_v - d.ut, d.uv * from_u + d.vv * from_v - d.vt, b * inverse, -d.uv * inverse,
            a * inverse};
  }

  /// SOR of the pixels of one colour.
  DEVICE void sweep(int color) {
#pragma unroll
    for (int row = 0; row < rows_of_thread; row++) {
      const Pixel pixel = pixel_of_thread(row, color);
      if (!exists(pixel)) continue;
      const Weights w = weights(pixel);
      const auto around = [&](const float* motion) {
        return w.left * motion[pixel.left] + w.right * motion[pixel.right] + w.above * motion[pixel.above()] +
               w.below * motion[pixel.below()];
      };
      const VariationalEquations& q = equations_[row][color];
      const float sum_u = q.known_u + around(u_), sum_v = q.known_v + around(v_);
      const float u = u_[pixel.at], v = v_[pixel.at];
      u_[pixel.at] = u + p_.relaxation * (q.uu * sum_u + q.uv * sum_v - u);
      v_[pixel.at] = v + p_.relaxation * (q.uv * sum_u + q.vv * sum_v - v);
    }
  }

  DEVICE void store(const Pixel& pixel) const {
    const int y = top_ + pixel.y, x = left_ + pixel.x;
    if (y < first_y_ || y >= end_y_ || x < first_x_ || x >= end_x_) return;
    float* out = p_.out + static_cast<std::ptrdiff_t>(y) * p_.ld_out + x;
    out[0] = u_[pixel.at];
    out[static_cast<std::ptrdiff_t>(p_.height) * p_.ld_out] = v_[pixel.at];
  }

  const RefineVariationalParams& p_;
  float *u_, *v_, *weight_;
  int first_x_, first_y_, end_x_, end_y_;  // the pixels that the block writes
  int left_, top_, width_, height_;        // those that it solves; `left_` and `top_` are even
  int row_;                                // the thread's first row
  Column columns_[2];                      // by colour
  VariationalEquations equations_[rows_of_thread][2] = {};
};

KERNEL(refine_variational, RefineVariationalParams, variational_threads, 1) {
  SHARED_MEMORY(float, memory);
  VariationalTile(p, memory).run();
}

}  // namespace flow::kernels
