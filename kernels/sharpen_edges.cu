// The edges of a flow: near motion edges, the weighted median of u and that of v over a window of 7 x 7 pixels, two
// pixels apart. RefineStages::sharpen_edges defines them. Other pixels are copied.
//
// A block reads the motions of its 8 x 32 pixels and of those 6 to their sides. Unless one of them is near a motion
// edge, and in most blocks none is, the block ends there. The others load seven values of each pixel of their windows
// into shared memory: 24.6 KB. A median is found by halving the interval that holds it, 16 times, so that all threads
// of a warp take the same steps. The 49 weights and the 49 values of a component are in registers meanwhile.
//
// 1920 x 1080 moves 33 MB: two motions a pixel, read and written. A pixel near an edge takes 16 x 49 comparisons and
// additions for each component, 3200 instructions, and 1500 more for its weights: if a tenth of the warps have one,
// that is 30 million instructions of a warp, some 40 us of an H100. Memory limits a flow with few edges, arithmetic
// another.

#include "sharpen_edges.h"

#include "image.cuh"

namespace flow::kernels {

/// The values of a pixel; each has a plane in shared memory.
enum SharpenValue : int {
  sharpen_u,
  sharpen_v,
  sharpen_luma,
  sharpen_color,  // R, G and B
  sharpen_sure = sharpen_color + 3,
  sharpen_end
};
static_assert(sharpen_end == sharpen_values);

constexpr int sharpen_side = 2 * sharpen_radius + 1;

struct Motion {
  float u, v;
};

/// The motion of the pixel of the frame that is nearest to (y, x).
DEVICE Motion motion_near(const SharpenEdgesParams& p, int y, int x) {
  const int height = p.image.height, width = p.image.width;
  const float* at =
      p.flow + static_cast<std::ptrdiff_t>(nearest_inside(y, height)) * p.ld_flow + nearest_inside(x, width);
  return {at[0], at[static_cast<std::ptrdiff_t>(height) * p.ld_flow]};
}

DEVICE bool is_near_motion_edge(const SharpenEdgesParams& p, int y, int x, Motion own) {
  float most = 0;
  const auto compare = [&](int to_y, int to_x) {
    const Motion other = motion_near(p, to_y, to_x);
    const float du = other.u - own.u, dv = other.v - own.v;
    most = fmaxf(most, du * du + dv * dv);
  };
  compare(y, x - sharpen_reach), compare(y, x + sharpen_reach);
  compare(y - sharpen_reach, x), compare(y + sharpen_reach, x);
  return most - p.step * p.step - p.share * p.share * (own.u * own.u + own.v * own.v) > 0;
}

/// Writes the values of the pixel of the frame that is nearest to (y, x). They lie sharpen_area apart.
DEVICE void read_pixel(const SharpenEdgesParams& p, int y, int x, float* values) {
  const auto set = [=](int value, float to) { values[value * sharpen_area] = to; };
  const Motion motion = motion_near(p, y, x);
  y = nearest_inside(y, p.image.height), x = nearest_inside(x, p.image.width);
  const int half_y = min(y / 2, p.half.height - 1), half_x = min(x / 2, p.half.width - 1);
  set(sharpen_u, motion.u), set(sharpen_v, motion.v);
  set(sharpen_luma, *pixel_of(p.image, 0, y, x));
#pragma unroll
  for (int c = 0; c < 3; c++) set(sharpen_color + c, *pixel_of(p.half, c, half_y, half_x));
  set(sharpen_sure, p.sure[static_cast<std::ptrdiff_t>(half_y) * p.ld_sure + half_x]);
}

/// visit(row, column, at) for each pixel of a window, `at` its distance in shared memory from the window's middle.
template <class Visit>
DEVICE void for_window(const Visit& visit) {
#pragma unroll
  for (int row = 0; row < sharpen_side; row++) {
#pragma unroll
    for (int column = 0; column < sharpen_side; column++) {
      visit(row, column,
            (row * sharpen_step - sharpen_reach) * sharpen_area_width + column * sharpen_step - sharpen_reach);
    }
  }
}

/// The weights of the pixels of a window; returns their sum.
DEVICE float weigh_window(const SharpenEdgesParams& p, const float* middle,
                          float (&weights)[sharpen_side][sharpen_side]) {
  const float unlike = __fdividef(-1.F, p.color), far = __fdividef(-0.5F, p.distance * p.distance);
  float sum = 0;
  for_window([&](int row, int column, int at) {
    const auto change = [=](int value) {
      return fabsf(middle[value * sharpen_area + at] - middle[value * sharpen_area]);
    };
    const float color = change(sharpen_color) + change(sharpen_color + 1) + change(sharpen_color + 2);
    const int dy = row * sharpen_step - sharpen_reach, dx = column * sharpen_step - sharpen_reach;
    const float distance = far * static_cast<float>(dy * dy + dx * dx);
    const float likeness = __expf(unlike * (change(sharpen_luma) + color * (1 / 3.F)) + distance);
    sum += weights[row][column] = likeness * fmaxf(middle[sharpen_sure * sharpen_area + at], p.least);
  });
  return sum;
}

/// The least value of a window so that it and the smaller ones weigh `half`.
DEVICE float weighted_median(const float* middle, const float (&weights)[sharpen_side][sharpen_side], float half) {
  float values[sharpen_side][sharpen_side];
  float low = middle[0], high = low;
  for_window([&](int row, int column, int at) {
    const float value = values[row][column] = middle[at];
    low = fminf(low, value), high = fmaxf(high, value);
  });
  float found = low;
#pragma unroll 1
  for (int i = 0; i < sharpen_halvings; i++) {
    const float between = 0.5F * (low + high);
    float sums[sharpen_side] = {};  // independent chains of additions
    for_window([&](int row, int column, int /*at*/) {
      sums[row] += values[row][column] <= between ? weights[row][column] : 0.F;
    });
    float sum = 0;
#pragma unroll
    for (const float part : sums) sum += part;
    if (sum < half) {
      low = between;
    } else {
      high = between;
    }
  }
  for_window([&](int row, int column, int /*at*/) {
    if (values[row][column] <= high) found = fmaxf(found, values[row][column]);
  });
  return found;
}

KERNEL(sharpen_edges, SharpenEdgesParams, sharpen_threads, 1) {
  SHARED_MEMORY(float, values);
  const int row = static_cast<int>(threadIdx.y), column = static_cast<int>(threadIdx.x);
  const int top = static_cast<int>(blockIdx.y) * sharpen_tile_height,
            left = static_cast<int>(blockIdx.x) * sharpen_tile_width;
  const int y = top + row, x = left + column;
  const bool exists = y < p.image.height && x < p.image.width;
  Motion motion = motion_near(p, y, x);
  const bool sharpens = exists && is_near_motion_edge(p, y, x, motion);
  if (__syncthreads_or(sharpens ? 1 : 0) != 0) {
    for (int i = row * sharpen_tile_width + column; i < sharpen_area; i += sharpen_threads) {
      read_pixel(p, top - sharpen_reach + i / sharpen_area_width, left - sharpen_reach + i % sharpen_area_width,
                 values + i);
    }
    __syncthreads();
    if (sharpens) {
      const float* middle = values + (row + sharpen_reach) * sharpen_area_width + column + sharpen_reach;
      float weights[sharpen_side][sharpen_side];
      const float half = 0.5F * weigh_window(p, middle, weights);
      motion.u = weighted_median(middle + sharpen_u * sharpen_area, weights, half);
      motion.v = weighted_median(middle + sharpen_v * sharpen_area, weights, half);
    }
  }
  if (!exists) return;
  float* out = p.out + static_cast<std::ptrdiff_t>(y) * p.ld_out + x;
  out[0] = motion.u;
  out[static_cast<std::ptrdiff_t>(p.image.height) * p.ld_out] = motion.v;
}

}  // namespace flow::kernels
