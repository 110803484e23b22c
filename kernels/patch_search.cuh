#pragma once

// The search of one patch by one warp: the descent and its cost. See search_patches.cu.

#include "patches.cuh"
#include "search_patches.h"

namespace flow::kernels {

/// A patch's cost is known to this part of the template's square.
constexpr float patch_rounding = 4e-6F;

/// All lanes have equal results: the branches are the same for the whole warp.
class PatchSearch {
 public:
  DEVICE PatchSearch(const PatchSearchParams& p, int index)
      : p_(p),
        template_(p.templates[index]),
        x_(patch_start(index % p.layout.across, p.layout.stride, p.from.width)),
        y_(patch_start(index / p.layout.across, p.layout.stride, p.from.height)) {
#pragma unroll
    for (int c = 0; c < patch_channels; c++) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float* pixel = pixel_of(p.from, c, y_ + patch_row() + i, x_ + patch_column());
        values_[c][i] = pixel[0] - template_.mean[c];
        across_[c][i] = pixel[1] - pixel[-1];
        down_[c][i] = pixel[p.from.stride] - pixel[-p.from.stride];
      }
    }
  }

  /// Starts from a motion.
  DEVICE void start(float u, float v) {
    u_ = u, v_ = v;
    now_ = evaluate(u, v);
  }
  /// Starts from a result.
  DEVICE void resume(const PatchState& state) {
    u_ = state.u, v_ = state.v;
    now_ = {state.cost, 0, 0};
  }
  /// Adopts a motion if it is clearly better.
  DEVICE bool offer(const PatchState& neighbour) {
    if (fabsf(neighbour.u - u_) + fabsf(neighbour.v - v_) < p_.stop) return false;
    const Step other = evaluate(neighbour.u, neighbour.v);
    if (!(other.cost < p_.better * now_.cost)) return false;
    u_ = neighbour.u, v_ = neighbour.v, now_ = other;
    return true;
  }
  /// Stays where it is if there is nothing to follow.
  DEVICE void descend() {
    if (template_.texture < p_.texture) return;
    const float u = u_, v = v_;
    const Step first = now_;
    follow();
    const float part = 6 - 5 * relative() / p_.unlike;
    if (part >= 1) return;
    if (part <= 0) {
      u_ = u, v_ = v, now_ = first;
    } else {
      start(u + part * (u_ - u), v + part * (v_ - v));
    }
  }
  DEVICE PatchState state() const { return {u_, v_, now_.cost, relative()}; }
  DEVICE float centre_x() const { return static_cast<float>(x_) + 0.5F * patch_side; }
  DEVICE float centre_y() const { return static_cast<float>(y_) + 0.5F * patch_side; }

 private:
  /// Cost at a motion, and g.(s W - T) there.
  struct Step {
    float cost, x, y;
  };
  DEVICE float relative() const { return fminf(now_.cost / (template_.tt + patch_samples), 1.F); }
  DEVICE void follow() {
    const float from_u = u_, from_v = v_, reach = p_.reach * p_.reach, rounding = patch_rounding * template_.tt;
#pragma unroll 1
    for (int i = 0; i < p_.iterations && now_.cost > 0; i++) {
      const float du = template_.xx * now_.x + template_.xy * now_.y;
      const float dv = template_.xy * now_.x + template_.yy * now_.y;
      const float taken = fminf(2 * sqrtf(du * du + dv * dv) / p_.stop - 1, 1.F);
      if (taken <= 0) return;
      const float u = u_ - taken * du, v = v_ - taken * dv;
      if ((u - from_u) * (u - from_u) + (v - from_v) * (v - from_v) > reach) return;
      const Step next = evaluate(u, v);
      if (!(next.cost < now_.cost + rounding)) return;
      u_ = u, v_ = v, now_ = next;
    }
  }

  /// One pass over both patches gives all sums. They are of values without the template's means; what is left of the
  /// means of W is taken off afterwards.
  DEVICE Step evaluate(float u, float v) const {
    const ImagePosition at = position_in(p_.to, static_cast<float>(y_) + v, static_cast<float>(x_) + u, patch_side);
    enum { w = 0, ww = patch_channels, wt, wx, wy };
    float sums[8] = {};
#pragma unroll
    for (int c = 0; c < patch_channels; c++) {
      const float* pixel = pixel_of(p_.to, c, at.y + patch_row(), at.x + patch_column());
      float upper = pixel_across(pixel, at.part_x);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float lower = pixel_across(pixel + (i + 1) * p_.to.stride, at.part_x);
        const float warped = upper + at.part_y * (lower - upper) - template_.mean[c];
        sums[w + c] += warped;
        sums[ww] += warped * warped, sums[wt] += warped * values_[c][i];
        sums[wx] += warped * across_[c][i], sums[wy] += warped * down_[c][i];
        upper = lower;
      }
    }
    warp_sums(sums);
    float square = sums[ww], x = 0.5F * sums[wx], y = 0.5F * sums[wy];
#pragma unroll
    for (int c = 0; c < patch_channels; c++) {
      const float sum = sums[w + c];
      square -= sum * sum / patch_pixels, x -= sum * template_.mean_x[c], y -= sum * template_.mean_y[c];
    }
    const float noise = 4 * patch_samples, ratio = sqrtf((template_.tt + noise) / (square + noise));
    const float gain = fminf(fmaxf(ratio, 0.5F), 2.F);
    const float cost = gain * gain * square - 2 * gain * sums[wt] + template_.tt;
    // Below that, the rest is rounding: a frame and itself must not move.
    return {cost < patch_rounding * template_.tt ? 0 : cost, gain * x - template_.tx, gain * y - template_.ty};
  }

  const PatchSearchParams& p_;
  const PatchTemplate template_;
  const int x_, y_;
  // Of this lane's two pixels: without the channel's mean, and twice their derivatives.
  float values_[patch_channels][2], across_[patch_channels][2], down_[patch_channels][2];
  float u_ = 0, v_ = 0;
  Step now_{};
};

}  // namespace flow::kernels
