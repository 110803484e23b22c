// The choice between motions: the census cost of a flow, messages between neighbours, and what a motion explains.

/// The costs of a tile. Arrays have twice the resolution of the labels.
template <int W>
class CensusTile {
 public:
  using S = Simd<W>;
  using V = typename S::V;

  static std::size_t scratch_floats() { return static_cast<std::size_t>(3) * rows * stride + 3 * stride; }

  CensusTile(const CensusJob& job, int item, float* scratch)
      : job_(job),
        from_(scratch + margin),
        to_(from_ + rows * stride),
        cost_(to_ + rows * stride),
        u_(cost_ + rows * stride),
        v_(u_ + stride),
        sum_(v_ + stride) {
    const LabelPlanes& labels = job.labels;
    first_x_ = item % job.across * census_tile_width, first_y_ = item / job.across * census_tile_height;
    end_x_ = least(first_x_ + census_tile_width, labels.width);
    end_y_ = least(first_y_ + census_tile_height, labels.height);
    left_ = 2 * first_x_ - reach, top_ = 2 * first_y_ - above;
    columns_ = 2 * (end_x_ - first_x_) + 2 * reach, rows_ = 2 * (end_y_ - first_y_) + above + below;
  }

  void run() {
    for (int y = 0; y < rows_; y++) read(y);
    for (int label = job_.first; label < job_.labels.count; label++) {
      for (int y = 0; y < rows_; y++) warp(label, y);
      for (int y = 0; y < rows_ - 2; y++) compare(y);
      for (int y = first_y_; y < end_y_; y++) gather(label, y);
    }
  }

 private:
  // A label's pixel needs the costs of columns 2x - 2 to 2x + 3 and of rows 2y - 2 to 2y + 2, and a cost the two pixels
  // to its left and right and the two below. The window is not centred, since its pairs of pixels reach down.
  static constexpr int reach = 4, above = 2, below = 3;
  static constexpr int margin = W;  // columns before a row, which no result depends on
  static constexpr int stride = (2 * census_tile_width + 2 * reach + W - 1) / W * W + 2 * margin;
  static constexpr int rows = 2 * census_tile_height + above + below;

  static int least(int a, int b) { return a < b ? a : b; }
  static int held(int i, int size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

  /// A quadratic spline over three pixels: their weights, `part` of the middle one's width behind its left edge.
  struct Spline {
    float before, middle, after;
  };
  static Spline spline(float part) {
    const float before = 0.5f * (1 - part) * (1 - part), after = 0.5f * part * part;
    return {before, 1 - before - after, after};
  }

  /// Frame 1 with the gain of frame 2, in units of the contrast.
  void read(int y) {
    const float* from = job_.from.row(held(top_ + y, job_.height)) + left_;
    float* to = from_ + y * stride;
    const Spline weights = spline(0.5f);
    const V gain = S::broadcast(job_.gain / job_.contrast);
    const V middle = S::broadcast(weights.middle), side = S::broadcast(weights.before);
    const auto smooth = [&](const float* p) { return middle * S::load(p) + side * (S::load(p - 1) + S::load(p + 1)); };
    const std::ptrdiff_t row = job_.from.stride;
    for (int x = 0; x < columns_; x += W) {
      const int i = least(x, columns_ - W);  // the border behind the last columns may be narrower than a vector
      const float* p = from + i;
      S::store(to + i, gain * (middle * smooth(p) + side * (smooth(p - row) + smooth(p + row))));
    }
    for (int x = 0; x < -left_; x++) to[x] = to[-left_];  // outside the frame, as in `warp`
    for (int x = job_.width - left_; x < columns_; x++) to[x] = to[job_.width - 1 - left_];
  }

  /// Frame 2 where the label leads, in the same units.
  void warp(int label, int y) {
    const FlowPlanes flow = job_.labels.flow(label);
    const int height = job_.height, width = job_.width, at_y = held(top_ + y, height);
    const float quarter = 0.5f * (static_cast<float>(at_y) - 0.5f), last = static_cast<float>(flow.height - 1);
    const float inside = quarter < 0 ? 0 : quarter > last ? last : quarter;
    const int upper = static_cast<int>(inside), lower = least(upper + 1, flow.height - 1);
    const float part = inside - static_cast<float>(upper);
    const float *u0 = flow.u + upper * flow.stride, *u1 = flow.u + lower * flow.stride;
    const float *v0 = flow.v + upper * flow.stride, *v1 = flow.v + lower * flow.stride;
    const int before = first_x_ - reach / 2 - 1;  // the first column of u_ and v_
    const int needed = end_x_ - first_x_ + reach + 2;
    for (int i = 0; i < needed; i++) {
      const int x = held(before + i, flow.width);
      u_[i] = 2 * (u0[x] + part * (u1[x] - u0[x]));
      v_[i] = 2 * (v0[x] + part * (v1[x] - v0[x]));
    }
    float* to = to_ + y * stride;
    const float unit = 1 / job_.contrast;
    for (int x = 0; x < columns_; x++) {
      const int at_x = held(left_ + x, width);
      const int near = least((at_x >> 1) - before, needed - 2), next = at_x % 2 == 0 ? near - 1 : near + 1;
      const float u = 0.75f * u_[near] + 0.25f * u_[next], v = 0.75f * v_[near] + 0.25f * v_[next];
      const Position at =
          position_of(static_cast<float>(at_x) + u + 0.5f, static_cast<float>(at_y) + v + 0.5f, height, width, 1);
      const Spline across = spline(at.part_x), down = spline(at.part_y);
      const auto smooth = [&](const float* p) {
        return across.before * p[-1] + across.middle * p[0] + across.after * p[1];
      };
      const float* p = job_.to.row(at.y) + at.x;
      const std::ptrdiff_t row = job_.to.stride;
      to[x] = unit * (down.before * smooth(p - row) + down.middle * smooth(p) + down.after * smooth(p + row));
    }
  }

  static FLOW_INLINE V clip(V x) { return S::max(S::min(x, S::broadcast(1.f)), S::broadcast(-1.f)); }

  /// The mean difference between the pairs of a row's pixels and their twelve neighbours.
  void compare(int y) {
    const float *a = from_ + y * stride, *b = to_ + y * stride;
    float* to = cost_ + y * stride;
    for (int x = 0; x < columns_; x += W) {
      const V pixel_a = S::load(a + x), pixel_b = S::load(b + x);
      V sum{};
      const auto add = [&](int i) { sum += S::abs(clip(S::load(b + i) - pixel_b) - clip(S::load(a + i) - pixel_a)); };
      add(x + 1), add(x + 2);
      for (int i = -2; i <= 2; i++) add(x + stride + i), add(x + 2 * stride + i);
      S::store(to + x, S::min(sum * (1 / 12.f), S::broadcast(1.f)));
    }
  }

  /// The means of a row of the labels.
  void gather(int label, int y) {
    const float* first = cost_ + 2 * (y - first_y_) * stride;
    for (int x = 0; x < columns_; x += W) {
      V sum{};
      for (int i = 0; i < 5; i++) sum += S::load(first + i * stride + x);
      S::store(sum_ + x, sum);
    }
    float* to = job_.labels.cost(label) + y * job_.labels.ld + first_x_;
    for (int x = 0; x < end_x_ - first_x_; x++) {
      const float* p = sum_ + 2 * x + reach - 2;
      to[x] = 0.02f * (p[0] + p[5]) + 0.04f * (p[1] + p[2] + p[3] + p[4]);
    }
  }

  const CensusJob& job_;
  float *from_, *to_, *cost_;              // rows x stride
  float *u_, *v_, *sum_;                   // a row
  int first_x_, first_y_, end_x_, end_y_;  // of the labels
  int left_, top_, columns_, rows_;        // of the arrays
};

template <int W>
void census(const CensusJob& job, int item, float* scratch) {
  CensusTile<W>(job, item, scratch).run();
}

/// The messages of the pixels of one vector, which move on together. For every label j of the next pixels: least over k
/// of the message so far, the cost of k, and what a step from k to j costs.
template <int W>
class Messages {
 public:
  using S = Simd<W>;
  using V = typename S::V;

  /// Pixels: label k's u, v, scale and cost are `step` floats behind those of label k - 1.
  struct Pixels {
    const float *u, *v, *scale, *cost;
    std::ptrdiff_t step_flow, step;
  };

  Messages(const LabelPlanes& labels, const LabelOptions& options)
      : count_(labels.count),
        starts_(labels.starts),
        smoothness_(S::broadcast(options.smoothness)),
        most_(S::broadcast(options.most)) {}

  FLOW_INLINE void start(const Pixels& at) { pass(at); }

  /// `weight` is that of the edge between the pixels before and these. sums[k * step] receives the messages.
  template <class Receive>
  FLOW_INLINE void next(const Pixels& at, V weight, const Receive& receive) {
    const V unit = smoothness_ * weight, cut = unit * most_;
    V message[most_labels], lowest{};
    for (int j = 0; j < count_; j++) {
      const V u = S::load(at.u + j * at.step_flow), v = S::load(at.v + j * at.step_flow);
      const V scale = unit * S::load(at.scale + j * at.step);
      V best = S::broadcast(1e9f);
      for (int k = 0; k < count_; k++) {
        const V difference = S::abs(u_[k] - u) + S::abs(v_[k] - v);
        best = S::min(best, state_[k] + S::min(difference * (scale * scale_[k]), cut));
      }
      if (j >= starts_) best = S::min(best, state_[j]);
      message[j] = best;
      lowest = j == 0 ? best : S::min(lowest, best);
    }
    pass(at);
    for (int j = 0; j < count_; j++) {
      message[j] -= lowest;
      state_[j] += message[j];
      receive(j, message[j]);
    }
  }

  V cost(int label) const { return state_[label]; }

 private:
  FLOW_INLINE void pass(const Pixels& at) {
    for (int k = 0; k < count_; k++) {
      u_[k] = S::load(at.u + k * at.step_flow), v_[k] = S::load(at.v + k * at.step_flow);
      scale_[k] = S::load(at.scale + k * at.step), state_[k] = S::load(at.cost + k * at.step);
    }
  }

  int count_, starts_;
  V smoothness_, most_;
  V u_[most_labels], v_[most_labels], scale_[most_labels], state_[most_labels];  // of the last pixels
};

/// The weight of the edges between W pixels of `image` and those `step` floats further on.
template <int W>
FLOW_INLINE typename Simd<W>::V edge_weight(typename Simd<W>::V difference, const LabelOptions& options) {
  using S = Simd<W>;
  return S::broadcast(options.least) + (1 - options.least) * S::exp(difference * S::broadcast(-1 / options.edge));
}

template <int W>
std::size_t message_scratch(const MessageJob& job) {
  return static_cast<std::size_t>(5 * job.labels.count + 1) * W * static_cast<std::size_t>(job.labels.width);
}

/// W rows side by side in one vector: they are transposed there, and the sums back.
template <int W>
void messages_along_rows(const MessageJob& job, int item, float* scratch) {
  using S = Simd<W>;
  using V = typename S::V;
  const LabelPlanes& labels = job.labels;
  const int width = labels.width, first = item * W, count = labels.count;
  const int rows = labels.height - first < W ? labels.height - first : W;
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(W) * width;
  float *u = scratch, *v = u + count * plane, *scale = v + count * plane, *cost = scale + count * plane,
        *sums = cost + count * plane, *weights = sums + count * plane;
  const auto transpose = [&](const float* from, std::ptrdiff_t stride, float* to) {
    for (int r = 0; r < W; r++) {
      const float* row = from + (first + (r < rows ? r : rows - 1)) * stride;
      for (int x = 0; x < width; x++) to[x * W + r] = row[x];
    }
  };
  for (int k = 0; k < count; k++) {
    const FlowPlanes flow = labels.flow(k);
    transpose(flow.u, flow.stride, u + k * plane), transpose(flow.v, flow.stride, v + k * plane);
    transpose(labels.scale(k), labels.ld, scale + k * plane), transpose(labels.cost(k), labels.ld, cost + k * plane);
  }
  for (int r = 0; r < W; r++) {  // weights[x]: between pixels x and x + 1
    const int y = first + (r < rows ? r : rows - 1);
    for (int x = 0; x < width; x++) {
      float difference = 0;
      for (const Plane& image : job.planes) {
        const float step = image.row(y)[x + 1] - image.row(y)[x];
        difference += step < 0 ? -step : step;
      }
      weights[x * W + r] = difference;
    }
  }
  for (int x = 0; x < width; x++) {
    S::store(weights + x * W, edge_weight<W>(S::load(weights + x * W), job.options));
  }
  const auto pixels = [&](int x) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(x) * W;
    return typename Messages<W>::Pixels{u + at, v + at, scale + at, cost + at, plane, plane};
  };
  Messages<W> messages(labels, job.options);
  messages.start(pixels(0));
  for (int k = 0; k < count; k++) S::store(sums + k * plane, V{});
  for (int x = 1; x < width; x++) {
    messages.next(pixels(x), S::load(weights + (x - 1) * W),
                  [&](int k, V message) { S::store(sums + k * plane + x * W, message); });
  }
  messages.start(pixels(width - 1));
  for (int x = width - 2; x >= 0; x--) {
    messages.next(pixels(x), S::load(weights + x * W), [&](int k, V message) {
      float* sum = sums + k * plane + x * W;
      S::store(sum, S::load(sum) + message);
    });
  }
  for (int k = 0; k < count; k++) {
    for (int r = 0; r < rows; r++) {
      float* row = labels.sum(k) + (first + r) * labels.ld;
      for (int x = 0; x < width; x++) row[x] = sums[k * plane + x * W + r];
    }
  }
}

/// Down and up again; on the way up all messages of a pixel are known, and its label is chosen. Rows of all matrices
/// are padded to whole vectors, and images have borders.
template <int W>
void messages_along_columns(const MessageJob& job, int item) {
  using S = Simd<W>;
  using V = typename S::V;
  const LabelPlanes& labels = job.labels;
  const int height = labels.height, first = item * message_columns;
  const int columns = labels.width - first < message_columns ? labels.width - first : message_columns;
  for (int x = first; x < first + columns; x += W) {
    const auto pixels = [&](int y) {
      const std::ptrdiff_t at = y * labels.ld + x, flow = y * labels.stride + x;
      const FlowPlanes planes = labels.flow(0);
      return typename Messages<W>::Pixels{
          planes.u + flow, planes.v + flow, labels.scales + at, labels.costs + at, 2 * height * labels.stride,
          labels.plane()};
    };
    const auto weight = [&](int y) {  // between rows y and y + 1
      V difference{};
      for (const Plane& image : job.planes)
        difference += S::abs(S::load(image.row(y + 1) + x) - S::load(image.row(y) + x));
      return edge_weight<W>(difference, job.options);
    };
    Messages<W> messages(labels, job.options);
    messages.start(pixels(0));
    for (int y = 1; y < height; y++) {
      messages.next(pixels(y), weight(y - 1), [&](int k, V message) {
        float* sum = labels.sum(k) + y * labels.ld + x;
        S::store(sum, S::load(sum) + message);
      });
    }
    const auto choose = [&](int y) {
      V best = S::broadcast(1e9f), chosen{};
      for (int k = 0; k < labels.count; k++) {
        const V cost = messages.cost(k) + S::load(labels.sum(k) + y * labels.ld + x);
        chosen = cost < best ? S::broadcast(static_cast<float>(k)) : chosen;
        best = S::min(cost, best);
      }
      S::store(job.chosen + y * job.ld_chosen + x, chosen);
    };
    messages.start(pixels(height - 1));
    choose(height - 1);
    for (int y = height - 2; y >= 0; y--) {
      messages.next(pixels(y), weight(y), [](int /*k*/, V /*message*/) {});
      choose(y);
    }
  }
}

/// How well a motion explains the best fitting start of some samples, 0 to 1.
FLOW_INLINE Simd<sample_lanes>::V explains(const MotionSamples& samples, const Affine& motion, int first) {
  using S = Simd<sample_lanes>;
  using V = S::V;
  const V x = S::load(samples.x + first), y = S::load(samples.y + first);
  const V u = samples.width * (motion.d[2] + motion.d[0] * x + motion.d[1] * y);
  const V v = samples.width * (motion.d[5] + motion.d[3] * x + motion.d[4] * y);
  V most{};
  for (int k = 0; k < samples.starts; k++) {
    const V difference = (S::abs(u - S::load(samples.u[k] + first)) + S::abs(v - S::load(samples.v[k] + first))) *
                         S::load(samples.inverse[k] + first);
    most = S::max(most, S::load(samples.weight[k] + first) * (1.f - difference * difference));
  }
  return most;
}

float explained(const MotionSamples& samples, const Affine& motion) {
  using S = Simd<sample_lanes>;
  S::V sum{};
  for (int i = 0; i < samples.count; i += sample_lanes) {
    sum += S::load(samples.left + i) * explains(samples, motion, i);
  }
  return S::reduce_add(sum);
}

void remove_explained(const MotionSamples& samples, const Affine& motion, float* left) {
  using S = Simd<sample_lanes>;
  for (int i = 0; i < samples.count; i += sample_lanes) {
    const S::V part = S::min(1.5f * explains(samples, motion, i), S::broadcast(1.f));
    S::store(left + i, S::load(left + i) * (1.f - part));
  }
}
