// The edges of a flow: weighted medians, of the pixels near motion edges only. Most tiles have none and are copied.
//
// A vector is W pixels side by side, so a median must take the same steps for all of them: the interval that holds it
// is halved, and each half is weighed. Sorting would take different steps for each pixel.

template <int W>
class SharpenTile {
 public:
  using S = Simd<W>;
  using V = typename S::V;

  static std::size_t scratch_floats() { return static_cast<std::size_t>(arrays) * rows * stride; }

  SharpenTile(const SharpenJob& job, int item, float* scratch) : job_(job), memory_(scratch) {
    first_x_ = item % job.across * sharpen_tile_width, first_y_ = item / job.across * sharpen_tile_height;
    width_ = least(sharpen_tile_width, job.in.width - first_x_);
    height_ = least(sharpen_tile_height, job.in.height - first_y_);
  }

  void run() {
    for (int y = -sharpen_reach; y < height_ + sharpen_reach; y++) read_motion(y);
    bool any = false;
    for (int y = 0; y < height_; y++) any |= find_edges(y);
    if (any) {
      for (int y = -sharpen_reach; y < height_ + sharpen_reach; y++) read_image(y);
    }
    for (int y = 0; y < height_; y++) sharpen_row(y);
  }

 private:
  enum Array { u, v, edge, luma, red, green, blue, sure, arrays };

  static constexpr int rows = sharpen_tile_height + 2 * sharpen_reach;
  static constexpr int columns = (sharpen_tile_width + W - 1) / W * W + 2 * sharpen_reach;
  static constexpr int stride = (columns + W - 1) / W * W;
  static constexpr int side = 2 * sharpen_radius + 1;

  static int least(int a, int b) { return a < b ? a : b; }
  static int held(int i, int size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }
  FLOW_INLINE float* row(Array array, int y) const {
    return memory_ + (array * rows + y + sharpen_reach) * stride + sharpen_reach;
  }

  /// Copies the pixels at `columns` columns, those beyond the frame from its edge.
  void read_motion(int y) {
    const FlowPlanes& in = job_.in;
    const std::ptrdiff_t at = held(first_y_ + y, in.height) * in.stride;
    float *to_u = row(u, y), *to_v = row(v, y);
    for (int x = -sharpen_reach; x < columns - sharpen_reach; x++) {
      const int from = held(first_x_ + x, in.width);
      to_u[x] = in.u[at + from], to_v[x] = in.v[at + from];
    }
  }

  void read_image(int y) {
    const int at_y = held(first_y_ + y, job_.in.height), half_y = least(at_y / 2, job_.half_height - 1);
    const float* from = job_.luma.row(at_y);
    const float* from_half[] = {job_.half[0].row(half_y), job_.half[1].row(half_y), job_.half[2].row(half_y),
                                job_.sure + half_y * job_.ld_sure};
    float* to = row(luma, y);
    float* to_half[] = {row(red, y), row(green, y), row(blue, y), row(sure, y)};
    for (int x = -sharpen_reach; x < columns - sharpen_reach; x++) {
      const int at_x = held(first_x_ + x, job_.in.width), half_x = least(at_x / 2, job_.half_width - 1);
      to[x] = from[at_x];
      for (int i = 0; i < 4; i++) to_half[i][x] = from_half[i][half_x];
    }
  }

  /// Writes by how much the squared step of a motion exceeds the limit. Returns whether any does.
  bool find_edges(int y) {
    const SharpenOptions& options = job_.options;
    const V limit = S::broadcast(options.step * options.step), share = S::broadcast(options.share * options.share);
    V most{};
    for (int x = 0; x < width_; x += W) {
      const V own_u = S::load(row(u, y) + x), own_v = S::load(row(v, y) + x);
      V step{};
      const auto compare = [&](int to_y, int to_x) {
        const V du = S::load(row(u, to_y) + to_x) - own_u, dv = S::load(row(v, to_y) + to_x) - own_v;
        step = S::max(step, du * du + dv * dv);
      };
      compare(y, x - sharpen_reach), compare(y, x + sharpen_reach);
      compare(y - sharpen_reach, x), compare(y + sharpen_reach, x);
      const V excess = step - limit - share * (own_u * own_u + own_v * own_v);
      S::store(row(edge, y) + x, excess);
      most = S::max(most, excess);
    }
    return S::reduce_max(most) > 0;
  }

  void sharpen_row(int y) const {
    float* out_u = job_.out.u + (first_y_ + y) * job_.out.stride + first_x_;
    float* out_v = job_.out.v + (first_y_ + y) * job_.out.stride + first_x_;
    for (int x = 0; x < width_; x += W) {
      V new_u = S::load(row(u, y) + x), new_v = S::load(row(v, y) + x);
      const V excess = S::load(row(edge, y) + x);
      if (S::reduce_max(excess) > 0) {
        V weights[side * side];
        const V half = 0.5f * weigh(y, x, weights);
        new_u = excess > 0 ? median(u, y, x, weights, half) : new_u;
        new_v = excess > 0 ? median(v, y, x, weights, half) : new_v;
      }
      S::store_partial(out_u + x, new_u, least(W, width_ - x));
      S::store_partial(out_v + x, new_v, least(W, width_ - x));
    }
  }

  /// visit(k, y, x) for each pixel of the window of (y, x).
  template <class Visit>
  static FLOW_INLINE void for_window(int y, int x, const Visit& visit) {
    for (int row = 0; row < side; row++) {
      for (int column = 0; column < side; column++) {
        visit(row * side + column, y + row * sharpen_step - sharpen_reach, x + column * sharpen_step - sharpen_reach);
      }
    }
  }

  /// The weights of a window; returns their sum.
  V weigh(int y, int x, V* weights) const {
    const SharpenOptions& options = job_.options;
    const auto own = [&](Array array) { return S::load(row(array, y) + x); };
    const V own_luma = own(luma), own_red = own(red), own_green = own(green), own_blue = own(blue);
    const float unlike = -1 / options.color, far = -0.5f / (options.distance * options.distance);
    V sum{};
    for_window(y, x, [&](int k, int at_y, int at_x) {
      const auto change = [&](Array array, V from) { return S::abs(S::load(row(array, at_y) + at_x) - from); };
      const V color = change(red, own_red) + change(green, own_green) + change(blue, own_blue);
      const int dy = at_y - y, dx = at_x - x;
      const float distance = far * static_cast<float>(dy * dy + dx * dx);
      const V likeness = S::exp(unlike * (change(luma, own_luma) + color * (1 / 3.f)) + distance);
      sum += weights[k] = likeness * S::max(S::load(row(sure, at_y) + at_x), S::broadcast(options.least));
    });
    return sum;
  }

  /// The least value of a window so that it and the smaller ones weigh `half`.
  V median(Array array, int y, int x, const V* weights, V half) const {
    const auto value = [&](int at_y, int at_x) { return S::load(row(array, at_y) + at_x); };
    V low = value(y, x), high = low;
    for_window(y, x, [&](int /*k*/, int at_y, int at_x) {
      low = S::min(low, value(at_y, at_x)), high = S::max(high, value(at_y, at_x));
    });
    const V lowest = low;
    for (int i = 0; i < sharpen_halvings; i++) {
      const V middle = 0.5f * (low + high);
      V sum{};
      for_window(y, x, [&](int k, int at_y, int at_x) { sum += value(at_y, at_x) <= middle ? weights[k] : V{}; });
      low = sum < half ? middle : low, high = sum < half ? high : middle;
    }
    V found = lowest;
    for_window(y, x, [&](int /*k*/, int at_y, int at_x) {
      const V at = value(at_y, at_x);
      found = at <= high ? S::max(found, at) : found;
    });
    return found;
  }

  const SharpenJob& job_;
  float* memory_;
  int first_x_, first_y_, width_, height_;  // the pixels that the tile stores
};

template <int W>
void sharpen(const SharpenJob& job, int item, float* scratch) {
  SharpenTile<W>(job, item, scratch).run();
}
