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
// row are neighbours then, and a warp's accesses do not conflict. A thread holds the equations of its 8 pixels in
// registers, 5 numbers each. The derivatives, 13 more, would not fit; they are computed anew in each outer iteration,
// from L1. A weight belongs to a pixel and its neighbours to the right and below; at the tile's edges it counts as 0.
//
// The halo makes 5120 pixels of 3072. Two outer iterations of four sweeps are some 700 FLOPs and 160 accesses of shared
// memory for each of them: 1920 x 1080 is 690 tiles, 2.5 GFLOP and 2.3 GB. Shared memory's bandwidth and the barriers
// after each half sweep limit it. From and to memory are 50 MB.

#include "refine_variational.h"

#include "image.cuh"

namespace flow::kernels {

/// A motion, with 0 in place of what is not finite, and not so long that a position would lose its fraction.
DEVICE float sane_motion(float motion, int height, int width) {
  const float longest = 2 * static_cast<float>(height + width);
  return isfinite(motion) ? fminf(fmaxf(motion, -longest), longest) : 0.F;
}

/// An image between its pixels. Beyond the border, the border's last pixels are repeated.
DEVICE float between_pixels(const ImageView& image, int plane, float y, float x) {
  constexpr float lowest = 1 - ImageView::border, beyond = ImageView::border - 3;
  x = fminf(fmaxf(x, lowest), static_cast<float>(image.width) + beyond);
  y = fminf(fmaxf(y, lowest), static_cast<float>(image.height) + beyond);
  // Truncation rounds down, as the sums are not negative.
  const int left = static_cast<int>(x + ImageView::border) - ImageView::border;
  const int top = static_cast<int>(y + ImageView::border) - ImageView::border;
  const float part_x = x - static_cast<float>(left), part_y = y - static_cast<float>(top);
  const float *upper = pixel_of(image, plane, top, left), *lower = upper + image.stride;
  const float above = upper[0] + part_x * (upper[1] - upper[0]);
  const float below = lower[0] + part_x * (lower[1] - lower[0]);
  return above + part_y * (below - above);
}

KERNEL(warp_luma, WarpLumaParams, 256, 1) {
  const int x = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  const int y = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  const int height = p.from.height, width = p.from.width;
  if (x >= width || y >= height) return;
  const float* flow = p.flow + static_cast<std::ptrdiff_t>(y) * p.ld_flow + x;
  const float u = sane_motion(flow[0], height, width);
  const float v = sane_motion(flow[static_cast<std::ptrdiff_t>(height) * p.ld_flow], height, width);
  const float warped = between_pixels(p.to, p.plane, static_cast<float>(y) + v, static_cast<float>(x) + u);
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

/// The constancies of a pixel: the derivatives that the equations are made of.
struct VariationalData {
  float gx, gy, gt, gxx, gxy, gyy, gxt, gyt;
  float n, nx, ny;

  DEVICE VariationalData(const RefineVariationalParams& p, int y, int x, bool inside) {
    const auto at = [&](const float* plane, int dy, int dx) {
      return plane[static_cast<std::ptrdiff_t>(nearest_inside(y + dy, p.height)) * p.width +
                   nearest_inside(x + dx, p.width)];
    };
    const auto difference_x = [&](const float* plane, int dy, int dx) {
      return 0.5F * (at(plane, dy, dx + 1) - at(plane, dy, dx - 1));
    };
    const auto difference_y = [&](const float* plane, int dy, int dx) {
      return 0.5F * (at(plane, dy + 1, dx) - at(plane, dy - 1, dx));
    };
    gx = difference_x(p.mean, 0, 0), gy = difference_y(p.mean, 0, 0), gt = at(p.difference, 0, 0);
    gxx = 0.5F * (difference_x(p.mean, 0, 1) - difference_x(p.mean, 0, -1));
    gxy = 0.5F * (difference_x(p.mean, 1, 0) - difference_x(p.mean, -1, 0));
    gyy = 0.5F * (difference_y(p.mean, 1, 0) - difference_y(p.mean, -1, 0));
    gxt = difference_x(p.difference, 0, 0), gyt = difference_y(p.difference, 0, 0);
    const float counts = inside ? 1.F : 0.F;
    n = counts / (gx * gx + gy * gy + 0.01F);
    nx = counts / (gxx * gxx + gxy * gxy + 0.01F);
    ny = counts / (gyy * gyy + gxy * gxy + 0.01F);
  }
};

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
    pair_ = static_cast<int>(threadIdx.x) % variational_pairs, row_ = static_cast<int>(threadIdx.x) / variational_pairs;
  }

  DEVICE void run() {
    for (int i = static_cast<int>(threadIdx.x); i < 3 * 2 * variational_half; i += variational_threads) u_[i] = 0;
    __syncthreads();  // neighbours outside the tile are 0
    for_each_pixel([&](int /*i*/, int y, int x, int at) { u_[at] = start(0, y, x), v_[at] = start(1, y, x); });
    __syncthreads();
    for (int k = 0; k < p_.outer; k++) {
      diffuse();
      __syncthreads();
      weigh();
      for (int i = 0; i < p_.inner; i++) {
        for (int color = 0; color < 2; color++) {
          sweep(color);
          __syncthreads();
        }
      }
    }
    store();
  }

 private:
  static constexpr int threads_down = variational_threads / variational_pairs;
  static constexpr int rows_of_thread = variational_rows / threads_down;
  static_assert(variational_threads % variational_pairs == 0 && variational_rows % threads_down == 0);
  static_assert(threads_down % 2 == 0);  // the rows of a thread are all even or all odd

  /// Where pixel (y, x) of the tile is; x = 2 * pair + parity.
  DEVICE static int place(int parity, int y, int pair) {
    return parity * variational_half + (y + 1) * variational_pairs + pair;
  }
  /// Calls work(number, y, x, place) for each of this thread's pixels in the tile.
  template <class Work>
  DEVICE void for_each_pixel(const Work& work) const {
#pragma unroll
    for (int i = 0; i < 2 * rows_of_thread; i++) {
      const int parity = i % 2, y = row_ + i / 2 * threads_down, x = 2 * pair_ + parity;
      if (y < height_ && x < width_) work(i, y, x, place(parity, y, pair_));
    }
  }
  /// The place to the left or right of a pixel, in the other half; at the tile's edges the pixel itself.
  DEVICE int left_of(int at, int x) const {
    return x == 0 ? at : x % 2 == 0 ? at + variational_half - 1 : at - variational_half;
  }
  DEVICE int right_of(int at, int x) const {
    return x + 1 == width_ ? at : x % 2 == 0 ? at + variational_half : at - variational_half + 1;
  }

  /// The motion that the step begins with.
  DEVICE float start(int plane, int y, int x) const {
    const std::ptrdiff_t row = plane * p_.height + top_ + y;
    return sane_motion(p_.flow[row * p_.ld_flow + left_ + x], p_.height, p_.width);
  }

  /// The smoothness between each pixel and its neighbours to the right and below.
  DEVICE void diffuse() const {
    for_each_pixel([&](int /*i*/, int y, int x, int at) {
      const float u = u_[at], v = v_[at];
      const int right = right_of(at, x);
      const int below = y + 1 < height_ ? at + variational_pairs : at;
      const float ux = u_[right] - u, vx = v_[right] - v, uy = u_[below] - u, vy = v_[below] - v;
      weight_[at] = 0.5F * p_.smoothness * robust_weight(ux * ux + vx * vx + uy * uy + vy * vy);
    });
  }

  /// Weights between a pixel and its neighbours.
  struct Smoothness {
    float left, right, above, below;
  };
  DEVICE Smoothness smoothness(int y, int x, int at) const {
    const float own = weight_[at];
    return {x > 0 ? weight_[left_of(at, x)] : 0.F, x + 1 < width_ ? own : 0.F, weight_[at - variational_pairs],
            y + 1 < height_ ? own : 0.F};
  }

  /// The equations for the present robust weights.
  DEVICE void weigh() {
    for_each_pixel([&](int i, int y, int x, int at) {
      const float from_u = start(0, y, x), from_v = start(1, y, x), du = u_[at] - from_u, dv = v_[at] - from_v;
      const float to_x = static_cast<float>(left_ + x) + from_u, to_y = static_cast<float>(top_ + y) + from_v;
      const bool inside = to_x >= 0 && to_x <= static_cast<float>(p_.width - 1) && to_y >= 0 &&
                          to_y <= static_cast<float>(p_.height - 1);
      const VariationalData d(p_, top_ + y, left_ + x, inside);
      const float e = d.gt + d.gx * du + d.gy * dv;
      const float ex = d.gxt + d.gxx * du + d.gxy * dv, ey = d.gyt + d.gxy * du + d.gyy * dv;
      const float w = 0.5F * p_.brightness * d.n * robust_weight(e * e * d.n);
      const float g = 0.5F * p_.gradient * robust_weight(ex * ex * d.nx + ey * ey * d.ny);
      const float wx = g * d.nx, wy = g * d.ny;
      const float uu = w * d.gx * d.gx + wx * d.gxx * d.gxx + wy * d.gxy * d.gxy;
      const float uv = w * d.gx * d.gy + wx * d.gxx * d.gxy + wy * d.gxy * d.gyy;
      const float vv = w * d.gy * d.gy + wx * d.gxy * d.gxy + wy * d.gyy * d.gyy;
      const float ut = w * d.gx * d.gt + wx * d.gxx * d.gxt + wy * d.gxy * d.gyt;
      const float vt = w * d.gy * d.gt + wx * d.gxy * d.gxt + wy * d.gyy * d.gyt;
      const Smoothness s = smoothness(y, x, at);
      const float around = s.right + s.left + s.below + s.above + 1e-6F;
      const float a = uu + around, b = vv + around, inverse = 1.F / (a * b - uv * uv);
      equations_[i] = {uu * from_u + uv * from_v - ut, uv * from_u + vv * from_v - vt, b * inverse, -uv * inverse,
                       a * inverse};
    });
  }

  /// SOR of the pixels of one colour.
  DEVICE void sweep(int color) {
    for_each_pixel([&](int i, int y, int x, int at) {
      if ((x + y) % 2 != color) return;
      const Smoothness s = smoothness(y, x, at);
      const int left = left_of(at, x), right = right_of(at, x);
      const int above = at - variational_pairs, below = at + variational_pairs;
      const VariationalEquations& q = equations_[i];
      const float sum_u =
          q.known_u + s.left * u_[left] + s.right * u_[right] + s.above * u_[above] + s.below * u_[below];
      const float sum_v =
          q.known_v + s.left * v_[left] + s.right * v_[right] + s.above * v_[above] + s.below * v_[below];
      const float u = u_[at], v = v_[at];
      u_[at] = u + p_.relaxation * (q.uu * sum_u + q.uv * sum_v - u);
      v_[at] = v + p_.relaxation * (q.uv * sum_u + q.vv * sum_v - v);
    });
  }

  DEVICE void store() const {
    for_each_pixel([&](int /*i*/, int y, int x, int at) {
      const int to_y = top_ + y, to_x = left_ + x;
      if (to_y < first_y_ || to_y >= end_y_ || to_x < first_x_ || to_x >= end_x_) return;
      float* out = p_.out + static_cast<std::ptrdiff_t>(to_y) * p_.ld_out + to_x;
      out[0] = u_[at];
      out[static_cast<std::ptrdiff_t>(p_.height) * p_.ld_out] = v_[at];
    });
  }

  const RefineVariationalParams& p_;
  float *u_, *v_, *weight_;
  int first_x_, first_y_, end_x_, end_y_;  // the pixels that the block writes
  int left_, top_, width_, height_;        // those that it solves; `left_` and `top_` are even
  int pair_, row_;                         // the thread's columns and its first row
  VariationalEquations equations_[2 * rows_of_thread];
};

KERNEL(refine_variational, RefineVariationalParams, variational_threads, 1) {
  SHARED_MEMORY(float, memory);
  VariationalTile(p, memory).run();
}

}  // namespace flow::kernels
