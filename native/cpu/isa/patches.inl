// The search of patches, on vectors of one row of a patch whatever the instruction set.

using PatchRow = Simd<patch_side>;
/// Added to the Hessian's diagonal, per sample.
constexpr float patch_regularisation = 1.3f;
/// A patch's cost is known to this part of the template's square.
constexpr float patch_rounding = 4e-6f;

/// The four pixels around a position, all within the image and its border.
struct Position {
  int x, y;
  float part_x, part_y;
};

/// Position of the first of `side` x `side` pixels, kept so near to the image that its border holds all of them.
FLOW_INLINE Position position_of(float x, float y, int height, int width, int side) {
  constexpr float lowest = 1 - image_border;
  const float beyond = static_cast<float>(image_border - side - 2);
  const float last_x = static_cast<float>(width) + beyond, last_y = static_cast<float>(height) + beyond;
  x = x < lowest ? lowest : x > last_x ? last_x : x;
  y = y < lowest ? lowest : y > last_y ? last_y : y;
  // Truncation rounds down, as the sums are not negative.
  const int left = static_cast<int>(x + image_border) - image_border;
  const int top = static_cast<int>(y + image_border) - image_border;
  return {left, top, x - static_cast<float>(left), y - static_cast<float>(top)};
}

/// Rows of a patch, interpolated one after the other.
class WarpedRows {
 public:
  using V = PatchRow::V;
  FLOW_INLINE WarpedRows(const Plane& plane, const Position& at)
      : next_(plane.row(at.y) + at.x),
        stride_(plane.stride),
        part_x_(PatchRow::broadcast(at.part_x)),
        part_y_(PatchRow::broadcast(at.part_y)),
        upper_(across()) {}
  FLOW_INLINE V operator()() {
    const V lower = across(), row = upper_ + part_y_ * (lower - upper_);
    upper_ = lower;
    return row;
  }

 private:
  FLOW_INLINE V across() {
    const V left = PatchRow::load(next_), right = PatchRow::load(next_ + 1);
    next_ += stride_;
    return left + part_x_ * (right - left);
  }
  const float* next_;
  std::ptrdiff_t stride_;
  V part_x_, part_y_, upper_;
};

void patch_templates(const PatchJob& job, int row) {
  using V = PatchRow::V;
  const int y = patch_start(row, job.grid.stride, job.height);
  for (int i = 0; i < job.grid.across; i++) {
    const int x = patch_start(i, job.grid.stride, job.width);
    PatchTemplate& t = job.templates[row * job.grid.across + i];
    V tt{}, tx{}, ty{}, xx{}, xy{}, yy{};
    float mean_xx = 0, mean_xy = 0, mean_yy = 0;
    for (int c = 0; c < patch_channels; c++) {
      const float* first = job.from[c].row(y) + x;
      const std::ptrdiff_t stride = job.from[c].stride;
      V sum{}, sum_x{}, sum_y{};
      for (int r = 0; r < patch_side; r++) sum += PatchRow::load(first + r * stride);
      t.mean[c] = PatchRow::reduce_add(sum) / patch_pixels;
      const V mean = PatchRow::broadcast(t.mean[c]);
      for (int r = 0; r < patch_side; r++) {
        const float* p = first + r * stride;
        const V value = PatchRow::load(p) - mean;  // squares of raw values would cancel
        const V gx = 0.5f * (PatchRow::load(p + 1) - PatchRow::load(p - 1));
        const V gy = 0.5f * (PatchRow::load(p + stride) - PatchRow::load(p - stride));
        sum_x += gx, sum_y += gy;
        xx += gx * gx, xy += gx * gy, yy += gy * gy;
        tt += value * value, tx += value * gx, ty += value * gy;
      }
      const float mx = PatchRow::reduce_add(sum_x) / patch_pixels, my = PatchRow::reduce_add(sum_y) / patch_pixels;
      t.mean_x[c] = mx, t.mean_y[c] = my;
      mean_xx += mx * mx, mean_xy += mx * my, mean_yy += my * my;
    }
    t.tt = PatchRow::reduce_add(tt), t.tx = PatchRow::reduce_add(tx), t.ty = PatchRow::reduce_add(ty);
    float a = PatchRow::reduce_add(xx) - patch_pixels * mean_xx;
    const float b = PatchRow::reduce_add(xy) - patch_pixels * mean_xy;
    float d = PatchRow::reduce_add(yy) - patch_pixels * mean_yy;
    t.texture = (0.5f * (a + d) - std::sqrt(0.25f * (a - d) * (a - d) + b * b)) / patch_samples;
    a += patch_regularisation * patch_samples, d += patch_regularisation * patch_samples;
    const float inverse = 1 / (a * d - b * b);
    t.xx = d * inverse, t.xy = -b * inverse, t.yy = a * inverse;
  }
}

/// Search of one patch.
class PatchSearch {
 public:
  PatchSearch(const PatchJob& job, const SearchOptions& options, int row, int column)
      : job_(job),
        options_(options),
        template_(job.templates[row * job.grid.across + column]),
        x_(patch_start(column, job.grid.stride, job.width)),
        y_(patch_start(row, job.grid.stride, job.height)) {}

  /// Starts again from that motion.
  void start(float u, float v) {
    u_ = u, v_ = v;
    now_ = evaluate(u, v);
  }
  /// Starts from a result.
  void resume(const PatchState& state) {
    u_ = state.u, v_ = state.v;
    now_ = {state.cost, 0, 0};
  }
  /// Adopts that motion if it is clearly better.
  bool offer(const PatchState& neighbour) {
    if (std::abs(neighbour.u - u_) + std::abs(neighbour.v - v_) < options_.stop) return false;
    const Step other = evaluate(neighbour.u, neighbour.v);
    if (!(other.cost < options_.better * now_.cost)) return false;
    u_ = neighbour.u, v_ = neighbour.v, now_ = other;
    return true;
  }
  /// Stays where it is if there is nothing to follow.
  void descend() {
    if (template_.texture < options_.texture) return;
    const float u = u_, v = v_;
    const Step first = now_;
    follow();
    const float part = 6 - 5 * relative() / options_.unlike;
    if (part >= 1) return;
    if (part <= 0) {
      u_ = u, v_ = v, now_ = first;
    } else {
      start(u + part * (u_ - u), v + part * (v_ - v));
    }
  }
  PatchState state() const { return {u_, v_, now_.cost, relative()}; }
  float centre_x() const { return static_cast<float>(x_) + 0.5f * patch_side; }
  float centre_y() const { return static_cast<float>(y_) + 0.5f * patch_side; }

 private:
  /// Cost at a motion, and g.(s W - T) there.
  struct Step {
    float cost, x, y;
  };
  float relative() const {
    const float relative = now_.cost / (template_.tt + patch_samples);
    return relative < 1 ? relative : 1;
  }
  void follow() {
    const float from_u = u_, from_v = v_, reach = options_.reach * options_.reach;
    const float rounding = patch_rounding * template_.tt;
    for (int i = 0; i < options_.iterations && now_.cost > 0; i++) {
      const float du = template_.xx * now_.x + template_.xy * now_.y;
      const float dv = template_.xy * now_.x + template_.yy * now_.y;
      const float part = 2 * std::sqrt(du * du + dv * dv) / options_.stop - 1, taken = part < 1 ? part : 1;
      if (taken <= 0) return;
      const float u = u_ - taken * du, v = v_ - taken * dv;
      if ((u - from_u) * (u - from_u) + (v - from_v) * (v - from_v) > reach) return;
      const Step next = evaluate(u, v);
      if (!(next.cost < now_.cost + rounding)) return;
      u_ = u, v_ = v, now_ = next;
    }
  }
  /// One pass over both patches gives all sums: they are of raw values, and means are taken off afterwards.
  Step evaluate(float u, float v) const {
    using V = PatchRow::V;
    const Position at =
        position_of(static_cast<float>(x_) + u, static_cast<float>(y_) + v, job_.height, job_.width, patch_side);
    V ww{}, wt{}, wx{}, wy{};
    float sum_ww = 0, sum_wx = 0, sum_wy = 0;  // of the means
    for (int c = 0; c < patch_channels; c++) {
      const V mean = PatchRow::broadcast(template_.mean[c]);
      WarpedRows warped(job_.to[c], at);
      const float* p = job_.from[c].row(y_) + x_;
      const std::ptrdiff_t stride = job_.from[c].stride;
      V sum{}, above = PatchRow::load(p - stride), here = PatchRow::load(p);
#pragma GCC unroll 8
      for (int r = 0; r < patch_side; r++, p += stride) {
        const V below = PatchRow::load(p + stride), w = warped() - mean;
        sum += w;
        ww += w * w;
        wt += w * (here - mean);
        wx += w * (PatchRow::load(p + 1) - PatchRow::load(p - 1));
        wy += w * (below - above);
        above = here, here = below;
      }
      const float m = PatchRow::reduce_add(sum);
      sum_ww += m * m * (1 / patch_pixels), sum_wx += m * template_.mean_x[c], sum_wy += m * template_.mean_y[c];
    }
    const float square = PatchRow::reduce_add(ww) - sum_ww, product = PatchRow::reduce_add(wt);
    const float x = 0.5f * PatchRow::reduce_add(wx) - sum_wx, y = 0.5f * PatchRow::reduce_add(wy) - sum_wy;
    const float ratio = std::sqrt((template_.tt + 4 * patch_samples) / (square + 4 * patch_samples));
    const float gain = ratio < 0.5f ? 0.5f : ratio > 2 ? 2 : ratio;
    const float cost = gain * gain * square - 2 * gain * product + template_.tt;
    // Below that, what is left is rounding: a frame and itself must not move.
    return {cost < patch_rounding * template_.tt ? 0 : cost, gain * x - template_.tx, gain * y - template_.ty};
  }

  const PatchJob& job_;
  const SearchOptions& options_;
  const PatchTemplate& template_;
  int x_, y_;
  float u_ = 0, v_ = 0;
  Step now_{};
};

/// A motion as a search can begin with it: 0 for NaN and infinities, which comparisons do not find under
/// -ffinite-math-only, and not so long that sums could overflow. By reference: clang takes a float that is passed by
/// value for finite.
FLOW_INLINE float sane_motion(const float& motion, int height, int width) {
  std::uint32_t bits;
  std::memcpy(&bits, &motion, sizeof bits);
  if ((bits & 0x7f800000U) == 0x7f800000U) return 0;
  const float longest = 2 * static_cast<float>(height + width);
  return motion < -longest ? -longest : motion > longest ? longest : motion;
}

/// Pixels of a hypothesis per pixel of a level: exactly a half for the level above, however its size was rounded.
FLOW_INLINE float hypothesis_scale(int hypothesis, int level) {
  return hypothesis == level / 2 ? 0.5f : static_cast<float>(hypothesis) / static_cast<float>(level);
}

/// A plane of a flow at a position in its pixels, bilinear, edges held.
FLOW_INLINE float sample_flow(const float* plane, const FlowPlanes& flow, float x, float y) {
  const float last_x = static_cast<float>(flow.width - 1), last_y = static_cast<float>(flow.height - 1);
  x = x < 0 ? 0 : x > last_x ? last_x : x;
  y = y < 0 ? 0 : y > last_y ? last_y : y;
  const int left = static_cast<int>(x), top = static_cast<int>(y);
  const int right = left + 1 < flow.width ? left + 1 : left;
  const float *upper = plane + top * flow.stride, *lower = top + 1 < flow.height ? upper + flow.stride : upper;
  const float part_x = x - static_cast<float>(left), part_y = y - static_cast<float>(top);
  const auto motion = [&](const float* row, int at) { return sane_motion(row[at], flow.height, flow.width); };
  const float above = motion(upper, left) * (1 - part_x) + motion(upper, right) * part_x;
  const float below = motion(lower, left) * (1 - part_x) + motion(lower, right) * part_x;
  return above * (1 - part_y) + below * part_y;
}

void search_patches(const SearchJob& job, int row) {
  const PatchJob& patches = job.patches;
  const int first = job.zero ? 1 : 0;
  for (int k = 0; k < first + job.count; k++) {
    PatchState* found = job.found + (k * patches.grid.down + row) * patches.grid.across;
    for (int i = 0; i < patches.grid.across; i++) {
      PatchSearch search(patches, job.options, row, i);
      float u = 0, v = 0;
      if (k >= first) {
        const FlowPlanes& flow = job.hypotheses[k - first];
        const float scale_x = hypothesis_scale(flow.width, patches.width);
        const float scale_y = hypothesis_scale(flow.height, patches.height);
        const float x = search.centre_x() * scale_x - 0.5f, y = search.centre_y() * scale_y - 0.5f;
        u = sample_flow(flow.u, flow, x, y) / scale_x;
        v = sample_flow(flow.v, flow, x, y) / scale_y;
      }
      search.start(u, v);
      search.descend();
      found[i] = search.state();
    }
  }
}

void propagate_patches(const PropagateJob& job, int row) {
  const PatchGrid grid = job.patches.grid;
  for (int i = 0; i < grid.across; i++) {
    const PatchState* own = job.in + row * grid.across + i;
    PatchSearch search(job.patches, job.options, row, i);
    search.resume(*own);
    bool adopted = false;
    if (i > 0) adopted |= search.offer(own[-1]);
    if (i + 1 < grid.across) adopted |= search.offer(own[1]);
    if (row > 0) adopted |= search.offer(own[-grid.across]);
    if (row + 1 < grid.down) adopted |= search.offer(own[grid.across]);
    if (adopted) search.descend();
    job.out[row * grid.across + i] = adopted ? search.state() : *own;
  }
}

// ---- a flow of every pixel
// --------------------------------------------------------------------------------------------

/// Floats of a row of sums, and of the band's.
FLOW_INLINE std::ptrdiff_t densify_stride(const DensifyJob& job) { return job.patches.width + patch_side; }
std::size_t densify_scratch(const DensifyJob& job) {
  return 2 * densify_band * static_cast<std::size_t>(densify_stride(job));
}

/// Patches add themselves to the band's rows, in the patches' order.
void densify_patches(const DensifyJob& job, int item, float* scratch) {
  using V = PatchRow::V;
  const PatchJob& patches = job.patches;
  const FlowPlanes& flow = job.flow;
  const int first = item * densify_band, end = first + densify_band < flow.height ? first + densify_band : flow.height;
  const std::ptrdiff_t stride = densify_stride(job);
  float *weights = scratch, *sures = scratch + densify_band * stride;
  std::memset(scratch, 0, 2 * densify_band * static_cast<std::size_t>(stride) * sizeof(float));
  for (int y = first; y < end; y++) {
    std::memset(flow.u + y * flow.stride, 0, sizeof(float) * static_cast<std::size_t>(flow.width));
    std::memset(flow.v + y * flow.stride, 0, sizeof(float) * static_cast<std::size_t>(flow.width));
  }
  V gain[patch_channels], offset[patch_channels];
  for (int c = 0; c < patch_channels; c++) {
    gain[c] = PatchRow::broadcast(job.exposure[c]), offset[c] = PatchRow::broadcast(job.exposure[4 + c]);
  }
  const V least = PatchRow::broadcast(0.5f);
  for (int j = 0; j < patches.grid.down; j++) {
    const int y = patch_start(j, patches.grid.stride, patches.height);
    const int from = first > y ? first : y, to = end < y + patch_side ? end : y + patch_side;
    if (from >= to) continue;
    for (int i = 0; i < patches.grid.across; i++) {
      const int x = patch_start(i, patches.grid.stride, patches.width), index = j * patches.grid.across + i;
      const PatchState& state = job.states[index];
      const V u = PatchRow::broadcast(state.u), v = PatchRow::broadcast(state.v);
      Position at = position_of(static_cast<float>(x) + state.u, static_cast<float>(y) + state.v, patches.height,
                                patches.width, patch_side);
      at.y += from - y;
      WarpedRows warped[patch_channels] = {{patches.to[0], at}, {patches.to[1], at}, {patches.to[2], at}};
      for (int r = from; r < to; r++) {
        V sum{};
        for (int c = 0; c < patch_channels; c++) {
          sum += PatchRow::abs(warped[c]() - offset[c] - gain[c] * PatchRow::load(patches.from[c].row(r) + x));
        }
        const V residual = sum * (1 / 3.f), part = 0.5f / PatchRow::max(residual, least), weight = part * part;
        float* pw = weights + (r - first) * stride + x;
        float *pu = flow.u + r * flow.stride + x, *pv = flow.v + r * flow.stride + x;
        PatchRow::store(pw, PatchRow::load(pw) + weight);
        PatchRow::store(pu, PatchRow::load(pu) + weight * u);
        PatchRow::store(pv, PatchRow::load(pv) + weight * v);
        if (job.sure) {
          float* ps = sures + (r - first) * stride + x;
          PatchRow::store(ps, PatchRow::load(ps) + weight * (0.25f / (0.25f + residual * residual)));
        }
      }
    }
  }
  for (int y = first; y < end; y++) {
    float *u = flow.u + y * flow.stride, *v = flow.v + y * flow.stride;
    const float *w = weights + (y - first) * stride, *s = sures + (y - first) * stride;
    for (int x = 0; x < flow.width; x++) {
      const float inverse = 1 / w[x];
      u[x] *= inverse, v[x] *= inverse;
      if (job.sure) job.sure[y * job.ld_sure + x] = s[x] * inverse;
    }
  }
}
