// The variational step of one tile, with its halo. Red and black pixels (x + y even and odd) take turns, and those of
// one colour need only the other's. So the even and the odd columns of each row lie apart: half a sweep is then
// arithmetic on whole vectors, and a neighbour in a row is in the other half, at the same index or one beside it.

template <int W>
class VariationalTile {
 public:
  using S = Simd<W>;
  using V = typename S::V;

  static std::size_t scratch_floats() { return static_cast<std::size_t>(2) * arrays * rows * stride; }

  VariationalTile(const VariationalJob& job, int item, float* scratch) : job_(job), memory_(scratch) {
    const int halo = job.options.halo, height = job.in.height, width = job.in.width;
    first_x_ = item % job.across * variational_tile_width, first_y_ = item / job.across * variational_tile_height;
    end_x_ = least(first_x_ + variational_tile_width, width),
    end_y_ = least(first_y_ + variational_tile_height, height);
    left_ = first_x_ > halo ? first_x_ - halo : 0, top_ = first_y_ > halo ? first_y_ - halo : 0;
    width_ = least(end_x_ + halo, width) - left_, height_ = least(end_y_ + halo, height) - top_;
    half_ = (width_ + 1) / 2;
    padded_ = (half_ + W - 1) / W * W;
  }

  void run() {
    for (int y = -2; y < height_ + 2; y++) warp_row(y);
    for (int y = -1; y < height_ + 1; y++) first_derivatives(y);
    for (int y = 0; y < height_; y++) second_derivatives(y);
    for (int k = 0; k < job_.options.outer; k++) {
      for (int y = 0; y < height_; y++) diffuse(y);
      clear(down, -1);
      for (int y = 0; y < height_; y++) weigh(y);
      for (int i = 0; i < job_.options.inner; i++) {
        for (int colour = 0; colour < 2; colour++) {
          for (int y = 0; y < height_; y++) sweep(y, (y + colour) % 2);
        }
      }
    }
    for (int y = first_y_; y < end_y_; y++) store(y);
  }

 private:
  // The arrays of a tile, each in two halves.
  enum Array {
    mean,        // of both frames, the second warped
    difference,  // second minus first
    x,
    y,
    xx,
    xy,
    yy,  // derivatives of `mean`
    xt,
    yt,  // derivatives of `difference`
    norm,
    norm_x,
    norm_y,  // 1 / (squared gradient + zeta^2) of the constancies; 0 where the frame is left
    start_u,
    start_v,
    u,
    v,
    right,
    down,  // smoothness between a pixel and the next
    known_u,
    known_v,  // right side of the equations, without the neighbours
    inverse_uu,
    inverse_uv,
    inverse_vv,
    arrays
  };

  // All tiles have the largest tile's layout, so that every array is at a constant distance from the others.
  static constexpr int margin = W;  // columns before a half row; as many behind it
  static constexpr int longest_half = variational_tile_width / 2 + variational_halo;
  static constexpr int stride = (longest_half + W - 1) / W * W + 2 * margin;
  static constexpr int rows = variational_tile_height + 2 * variational_halo + 4;

  static int least(int a, int b) { return a < b ? a : b; }
  FLOW_INLINE float* row(Array array, int parity, int y) const {
    return memory_ + ((2 * array + parity) * rows + y + 2) * stride + margin;
  }
  /// The half with the left and right neighbours of `parity`'s pixels: that of index i has index i there, or i - 1 or i
  /// + 1.
  FLOW_INLINE const float* left_of(Array array, int parity, int y) const {
    return parity == 0 ? row(array, 1, y) - 1 : row(array, 0, y);
  }
  FLOW_INLINE const float* right_of(Array array, int parity, int y) const {
    return parity == 0 ? row(array, 1, y) : row(array, 0, y) + 1;
  }
  void clear(Array array, int y) {
    for (int parity = 0; parity < 2; parity++) {
      std::memset(row(array, parity, y), 0, sizeof(float) * (stride - margin));
    }
  }

  /// Frame 2 at the moved pixels. Columns outside the image repeat its edge. Every column that a later vector reads is
  /// written, so that no stale value can become a NaN.
  void warp_row(int y) {
    const int width = job_.in.width, height = job_.in.height;
    const auto held = [](int i, int size) { return i < 0 ? 0 : i >= size ? size - 1 : i; };
    const int from_y = held(top_ + y, height);
    const float *in_u = job_.in.u + from_y * job_.in.stride, *in_v = job_.in.v + from_y * job_.in.stride;
    const float* frame = job_.from.row(from_y);
    const float inside_x = static_cast<float>(width - 1), inside_y = static_cast<float>(height - 1);
    const float pixel_y = static_cast<float>(from_y);
    for (int parity = 0; parity < 2; parity++) {
      float *a = row(mean, parity, y), *d = row(difference, parity, y), *n = row(norm, parity, y);
      float *ru = row(u, parity, y), *rv = row(v, parity, y);
      for (int i = -1; i < padded_ + 2; i++) {
        const int from_x = held(left_ + 2 * i + parity, width);
        const float motion_u = sane_motion(in_u[from_x], height, width),
                    motion_v = sane_motion(in_v[from_x], height, width);
        const float to_x = static_cast<float>(from_x) + motion_u, to_y = pixel_y + motion_v;
        const Position at = position_of(to_x, to_y, height, width, 1);
        const float *upper = job_.to.row(at.y) + at.x, *lower = upper + job_.to.stride;
        const float above = upper[0] + at.part_x * (upper[1] - upper[0]);
        const float below = lower[0] + at.part_x * (lower[1] - lower[0]);
        const float warped = above + at.part_y * (below - above);
        a[i] = 0.5f * (warped + frame[from_x]);
        d[i] = warped - frame[from_x];
        ru[i] = motion_u, rv[i] = motion_v;
        n[i] = to_x >= 0 && to_x <= inside_x && to_y >= 0 && to_y <= inside_y ? 1 : 0;
      }
    }
  }

  void first_derivatives(int at) {
    for (int parity = 0; parity < 2; parity++) {
      const float *left = left_of(mean, parity, at), *right_ = right_of(mean, parity, at);
      const float *above = row(mean, parity, at - 1), *below = row(mean, parity, at + 1);
      float *dx = row(x, parity, at), *dy = row(y, parity, at);
      if (parity == 1) dx[-1] = 0.5f * (right_[-1] - left[-1]);
      for (int i = 0; i < padded_ + 1; i += W) {
        S::store(dx + i, 0.5f * (S::load(right_ + i) - S::load(left + i)));
        S::store(dy + i, 0.5f * (S::load(below + i) - S::load(above + i)));
      }
    }
  }

  void second_derivatives(int at) {
    const V zeta = S::broadcast(0.01f);
    for (int parity = 0; parity < 2; parity++) {
      const float *x_left = left_of(x, parity, at), *x_right = right_of(x, parity, at);
      const float *t_left = left_of(difference, parity, at), *t_right = right_of(difference, parity, at);
      const float *x_above = row(x, parity, at - 1), *x_below = row(x, parity, at + 1);
      const float *y_above = row(y, parity, at - 1), *y_below = row(y, parity, at + 1);
      const float *t_above = row(difference, parity, at - 1), *t_below = row(difference, parity, at + 1);
      float* inside = row(norm, parity, at);
      for (int i = 0; i < half_; i += W) {
        const V gx = S::load(row(x, parity, at) + i), gy = S::load(row(y, parity, at) + i);
        const V gxx = 0.5f * (S::load(x_right + i) - S::load(x_left + i));
        const V gxy = 0.5f * (S::load(x_below + i) - S::load(x_above + i));
        const V gyy = 0.5f * (S::load(y_below + i) - S::load(y_above + i));
        S::store(row(xx, parity, at) + i, gxx);
        S::store(row(xy, parity, at) + i, gxy);
        S::store(row(yy, parity, at) + i, gyy);
        S::store(row(xt, parity, at) + i, 0.5f * (S::load(t_right + i) - S::load(t_left + i)));
        S::store(row(yt, parity, at) + i, 0.5f * (S::load(t_below + i) - S::load(t_above + i)));
        const V counts = S::load(inside + i);
        S::store(row(norm_x, parity, at) + i, counts / (gxx * gxx + gxy * gxy + zeta));
        S::store(row(norm_y, parity, at) + i, counts / (gyy * gyy + gxy * gxy + zeta));
        S::store(inside + i, counts / (gx * gx + gy * gy + zeta));
        S::store(row(start_u, parity, at) + i, S::load(row(u, parity, at) + i));
        S::store(row(start_v, parity, at) + i, S::load(row(v, parity, at) + i));
      }
    }
  }

  /// Robust weights: 1 / sqrt(s^2 + epsilon^2).
  static FLOW_INLINE V robust(V square) { return 1.f / S::sqrt(square + 4e-4f); }

  /// The smoothness between pixels, 0 at the tile's edges.
  void diffuse(int at) {
    repeat_last_column(at);
    const int below = at + 1 < height_ ? at + 1 : at;
    const V half_alpha = S::broadcast(0.5f * job_.options.smoothness);
    for (int parity = 0; parity < 2; parity++) {
      const float *u_right = right_of(u, parity, at), *v_right = right_of(v, parity, at);
      for (int i = 0; i < half_; i += W) {
        const V here_u = S::load(row(u, parity, at) + i), here_v = S::load(row(v, parity, at) + i);
        const V ux = S::load(u_right + i) - here_u, vx = S::load(v_right + i) - here_v;
        const V uy = S::load(row(u, parity, below) + i) - here_u, vy = S::load(row(v, parity, below) + i) - here_v;
        const V weight = half_alpha * robust(ux * ux + vx * vx + uy * uy + vy * vy);
        S::store(row(right, parity, at) + i, weight);
        S::store(row(down, parity, at) + i, weight);
      }
    }
    row(right, 1, at)[-1] = 0;
    row(right, (width_ - 1) % 2, at)[(width_ - 1) / 2] = 0;
    if (at == height_ - 1) clear(down, at);
  }

  void repeat_last_column(int at) {
    for (Array array : {u, v}) {
      row(array, width_ % 2, at)[width_ / 2] = row(array, (width_ - 1) % 2, at)[(width_ - 1) / 2];
    }
  }

  /// The 2 x 2 equations of each pixel for the present robust weights.
  void weigh(int at) {
    const V delta = S::broadcast(0.5f * job_.options.brightness), gamma = S::broadcast(0.5f * job_.options.gradient);
    for (int parity = 0; parity < 2; parity++) {
      const float *weight_left = left_of(right, parity, at), *weight_above = row(down, parity, at - 1);
      for (int i = 0; i < half_; i += W) {
        const auto value = [&](Array array) { return S::load(row(array, parity, at) + i); };
        const V from_u = value(start_u), from_v = value(start_v), du = value(u) - from_u, dv = value(v) - from_v;
        const V gx = value(x), gy = value(y), gt = value(difference), n = value(norm);
        const V gxx = value(xx), gxy = value(xy), gyy = value(yy), gxt = value(xt), gyt = value(yt);
        const V nx = value(norm_x), ny = value(norm_y);
        const V e = gt + gx * du + gy * dv;
        const V ex = gxt + gxx * du + gxy * dv, ey = gyt + gxy * du + gyy * dv;
        const V w = delta * n * robust(e * e * n);
        const V g = gamma * robust(ex * ex * nx + ey * ey * ny), wx = g * nx, wy = g * ny;
        const V uu = w * gx * gx + wx * gxx * gxx + wy * gxy * gxy;
        const V uv = w * gx * gy + wx * gxx * gxy + wy * gxy * gyy;
        const V vv = w * gy * gy + wx * gxy * gxy + wy * gyy * gyy;
        const V ut = w * gx * gt + wx * gxx * gxt + wy * gxy * gyt;
        const V vt = w * gy * gt + wx * gxy * gxt + wy * gyy * gyt;
        S::store(row(known_u, parity, at) + i, uu * from_u + uv * from_v - ut);
        S::store(row(known_v, parity, at) + i, uv * from_u + vv * from_v - vt);
        const V around = value(right) + S::load(weight_left + i) + value(down) + S::load(weight_above + i) + 1e-6f;
        const V a = uu + around, b = vv + around, inverse = 1.f / (a * b - uv * uv);
        S::store(row(inverse_uu, parity, at) + i, b * inverse);
        S::store(row(inverse_uv, parity, at) + i, -uv * inverse);
        S::store(row(inverse_vv, parity, at) + i, a * inverse);
      }
    }
  }

  /// Half a row of SOR.
  FLOW_INLINE void sweep(int at, int parity) {
    const V omega = S::broadcast(job_.options.relaxation);
    const float *u_left = left_of(u, parity, at), *u_right = right_of(u, parity, at);
    const float *v_left = left_of(v, parity, at), *v_right = right_of(v, parity, at);
    const float *weight_left = left_of(right, parity, at), *weight_right = row(right, parity, at);
    const float *weight_above = row(down, parity, at - 1), *weight_below = row(down, parity, at);
    float *here_u = row(u, parity, at), *here_v = row(v, parity, at);
    for (int i = 0; i < half_; i += W) {
      const V l = S::load(weight_left + i), r = S::load(weight_right + i);
      const V a = S::load(weight_above + i), b = S::load(weight_below + i);
      const V sum_u = S::load(row(known_u, parity, at) + i) + l * S::load(u_left + i) + r * S::load(u_right + i) +
                      a * S::load(row(u, parity, at - 1) + i) + b * S::load(row(u, parity, at + 1) + i);
      const V sum_v = S::load(row(known_v, parity, at) + i) + l * S::load(v_left + i) + r * S::load(v_right + i) +
                      a * S::load(row(v, parity, at - 1) + i) + b * S::load(row(v, parity, at + 1) + i);
      const V uv = S::load(row(inverse_uv, parity, at) + i);
      const V next_u = S::load(row(inverse_uu, parity, at) + i) * sum_u + uv * sum_v;
      const V next_v = uv * sum_u + S::load(row(inverse_vv, parity, at) + i) * sum_v;
      const V old_u = S::load(here_u + i), old_v = S::load(here_v + i);
      S::store(here_u + i, old_u + omega * (next_u - old_u));
      S::store(here_v + i, old_v + omega * (next_v - old_v));
    }
  }

  void store(int at) const {
    float *out_u = job_.out.u + at * job_.out.stride, *out_v = job_.out.v + at * job_.out.stride;
    for (int parity = 0; parity < 2; parity++) {
      const float *ru = row(u, parity, at - top_), *rv = row(v, parity, at - top_);
      for (int i = first_x_ + parity; i < end_x_; i += 2) {
        out_u[i] = ru[(i - left_) / 2], out_v[i] = rv[(i - left_) / 2];
      }
    }
  }

  const VariationalJob& job_;
  float* memory_;
  int first_x_, first_y_, end_x_, end_y_;  // the pixels that the tile stores
  int left_, top_, width_, height_;        // those that it solves; `left_` and `top_` are even
  int half_, padded_;                      // of `width_`; in whole vectors
};

template <int W>
void variational(const VariationalJob& job, int item, float* scratch) {
  VariationalTile<W>(job, item, scratch).run();
}
