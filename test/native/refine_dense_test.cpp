// The stages of the refinement that compute every pixel, against loops in double precision.

#include <array>
#include <cstring>

#include "every_engine.h"
#include "made_frames.h"
#include "model/refiner.h"

using namespace flow;
using reference::Doubles;
using reference::Map;

namespace {

// ---- frames ---------------------------------------------------------------------------------------------------------

const PixelFormat rgb = interleaved(3, 0, 1, 2), gray = interleaved(1, 0, 0, 0);

/// A frame of some format, of noise.
struct Picture : MadeFrame {
  Picture(int h, int w, const PixelFormat& f, Random& random)
      : MadeFrame(w, h, f, [&] { return static_cast<std::uint8_t>(127.5F + 127.5F * random.values(1)[0]); }) {}
};

double luma(const std::array<double, 3>& c) { return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]; }

/// Builds the pyramid of a frame.
void build(Bench& b, const Picture& picture, const FramePyramid& pyramid) {
  const Frame staged = b.ops.stage(picture.frame(), 0, picture.height, picture.width);
  b.ops.sequence(nullptr, std::array{staged}, [&] { b.ops.image_pyramid(staged, pyramid.levels()); });
  b.ops.finish();
}

/// A plane of a level, without its border.
Map plane_of(Bench& b, const Image& image, int plane) {
  const Values all = b.read(image.planes);
  Map pixels(image.height, image.width);
  for (int y = 0; y < image.height; y++) {
    for (int x = 0; x < image.width; x++) {
      const int row = plane * (image.height + 2 * image_border) + image_border + y;
      pixels.at(y, x) = all[static_cast<std::size_t>(row) * image.planes.cols + image_border + x];
    }
  }
  return pixels;
}

template <class... Parts>
void near(const Values& actual, const Doubles& expected, double bound, const Parts&... what) {
  check::that(actual.size() == expected.size(), what..., ": sizes differ");
  for (std::size_t i = 0; i < actual.size(); i++) {
    const double error = std::abs(actual[i] - expected[i]);
    check::that(error <= bound, what..., ": value ", i, " is ", actual[i], ", not ", expected[i]);  // not if NaN
  }
}

// ---- pyramid --------------------------------------------------------------------------------------------------------

/// Weights of a triangle filter, as wide as a pixel of the larger one.
Doubles triangle(int index, int from, int to) {
  const double scale = static_cast<double>(from) / to, reach = std::max(1.0, scale), centre = (index + 0.5) * scale;
  Doubles weights;
  double sum = 0;
  for (int j = 0; j < from; j++) {
    weights.push_back(std::max(0.0, 1 - std::abs(j + 0.5 - centre) / reach));
    sum += weights.back();
  }
  for (double& w : weights) w /= sum;
  return weights;
}

/// R, G and B of level 0.
std::array<Map, 3> resized(const Picture& picture, int height, int width) {
  std::array<Map, 3> colors{Map(height, width), Map(height, width), Map(height, width)};
  for (int y = 0; y < height; y++) {
    const Doubles down = triangle(y, picture.height, height);
    for (int x = 0; x < width; x++) {
      const Doubles across = triangle(x, picture.width, width);
      for (int j = 0; j < picture.height; j++) {
        for (int i = 0; i < picture.width && down[j] > 0; i++) {
          if (across[i] == 0) continue;
          const auto color = picture.color(j, i);
          for (std::size_t c = 0; c < 3; c++) colors[c].at(y, x) += down[j] * across[i] * color[c];
        }
      }
    }
  }
  return colors;
}

Map halved(const Map& m) {
  Map half(m.rows / 2, m.cols / 2);
  for (int y = 0; y < half.rows; y++) {
    for (int x = 0; x < half.cols; x++) {
      for (int i = 0; i < 4; i++) half.at(y, x) += m.at(2 * y + i / 2, 2 * x + i % 2) / 4;
    }
  }
  return half;
}

Map luma_of(const std::array<Map, 3>& colors) {
  Map out(colors[0].rows, colors[0].cols);
  for (std::size_t i = 0; i < out.v.size(); i++) out.v[i] = luma({colors[0].v[i], colors[1].v[i], colors[2].v[i]});
  return out;
}

/// With the border that repeats the edge.
void append_bordered(const Map& plane, Doubles& all) {
  for (int y = -image_border; y < plane.rows + image_border; y++) {
    for (int x = -image_border; x < plane.cols + image_border; x++) {
      all.push_back(plane.at(std::clamp(y, 0, plane.rows - 1), std::clamp(x, 0, plane.cols - 1)));
    }
  }
}

void check_pyramid(Bench& b, const Picture& picture, int height, int width) {
  const FramePyramid pyramid(b.ops, height, width);
  build(b, picture, pyramid);
  std::array<Map, 3> colors = resized(picture, height, width);
  for (std::size_t l = 0; l < pyramid.levels().size(); l++) {
    const Image& image = pyramid.levels()[l];
    Doubles expected;
    if (l > 0) {
      for (Map& color : colors) append_bordered(color = halved(color), expected);
    }
    append_bordered(luma_of(colors), expected);
    near(b.read(image.planes), expected, 2e-4, picture.width, " x ", picture.height, " to ", width, " x ", height,
         ", level ", l);
  }
}

const WithoutOperands pyramids("image_pyramid holds the means of pixels of every format", [](Bench& b, Random& random) {
  for (const auto& [name, format] : made_formats()) check_pyramid(b, Picture(61, 47, format, random), 61, 47);
  for (const auto [height, width] : {std::array{1, 1}, {1, 5}, {8, 8}, {9, 13}, {61, 47}, {120, 160}}) {
    check_pyramid(b, Picture(height, width, rgb, random), height, width);
  }
});

const WithoutOperands resizes("image_pyramid resizes a frame without skipping pixels", [](Bench& b, Random& random) {
  for (const auto& [name, format] : made_formats()) check_pyramid(b, Picture(35, 45, format, random), 21, 17);
  for (const auto [height, width] : {std::array{1, 1}, {8, 8}, {40, 61}, {61, 40}, {61, 9}, {100, 83}}) {
    check_pyramid(b, Picture(40, 61, interleaved(4, 2, 1, 0), random), height, width);
  }
  check_pyramid(b, Picture(3, 2000, gray, random), 8, 31);
});

// ---- covered pixels -------------------------------------------------------------------------------------------------

const WithoutOperands covered("find_covered cuts what cannot be seen in the other frame", [](Bench& b, Random& random) {
  for (const auto [height, width] : {std::array{1, 1}, {8, 8}, {9, 13}, {61, 47}, {120, 160}}) {
    const auto size = static_cast<std::size_t>(height) * width;
    Values flow = random.values(2 * size, 7), sure = random.values(size);
    for (float& v : flow) v = std::round(4 * v) / 4;  // float32 is exact, also at a half
    for (float& v : sure) v = std::abs(v);
    for (std::size_t i = 0; i < 2 * size; i += 37) flow[i] = i % 2 == 0 ? NAN : -INFINITY;
    sure[0] = 0;
    const auto target = [&](int y, int x) {
      const double u = flow[static_cast<std::size_t>(y) * width + x],
                   v = flow[size + static_cast<std::size_t>(y) * width + x];
      const double to_x = std::floor(x + u + 0.6), to_y = std::floor(y + v + 0.6);
      const bool inside = to_x >= 0 && to_y >= 0 && to_x < width && to_y < height;
      return inside ? static_cast<int>(to_y) * width + static_cast<int>(to_x) : -1;
    };
    Doubles best(size), expected(sure.begin(), sure.end());
    for (int i = 0; i < height * width; i++) {
      const int to = target(i / width, i % width);
      if (to >= 0) best[to] = std::max<double>(best[to], sure[i]);
    }
    for (int i = 0; i < height * width; i++) {
      const int to = target(i / width, i % width);
      expected[i] *= to < 0 ? 0.2 : best[to] > 0 ? std::clamp(10 * sure[i] / best[to] - 9, 0.05, 1.) : 1;
    }
    const auto in = b.matrix<Real>(2 * height, width, flow), out = b.matrix<Real>(height, width, sure);
    b.ops.find_covered(in, out, b.matrix<Real>(height, width, Values(size, 9)));  // what `best` holds does not count
    near(b.read(out), expected, 1e-6, height, " x ", width);
  }
});

double between(const Values& flow, std::size_t first, int height, int width, double y, double x) {
  const auto held = [](double at, int count) { return std::clamp(at, 0.0, count - 1.0); };
  y = held(y, height), x = held(x, width);
  const double top = std::floor(y), left = std::floor(x);
  const auto at = [&](double row, double column) {
    return static_cast<double>(flow[first + static_cast<std::size_t>(held(row, height)) * width +
                                    static_cast<std::size_t>(held(column, width))]);
  };
  const auto across = [&](double row) { return at(row, left) * (1 - x + left) + at(row, left + 1) * (x - left); };
  return across(top) * (1 - y + top) + across(top + 1) * (y - top);
}

const WithoutOperands returns("check_return cuts what does not come back", [](Bench& b, Random& random) {
  for (const auto [height, width] : {std::array{1, 1}, {8, 8}, {9, 13}, {31, 47}}) {
    for (const int scale : {1, 2}) {
      const int back_height = scale * height + (scale - 1), back_width = scale * width;  // an odd level 1
      const auto size = static_cast<std::size_t>(height) * width,
                 back_size = static_cast<std::size_t>(back_height) * back_width;
      const Values flow = random.values(2 * size, 5), back = random.values(2 * back_size, 5 * scale),
                   sure = random.values(size);
      Doubles expected(size);
      for (std::size_t i = 0; i < size; i++) {
        const double u = flow[i], v = flow[size + i], x = static_cast<double>(i % width),
                     y = static_cast<double>(i / width);
        const double to_x = (x + u + 0.5) * scale - 0.5, to_y = (y + v + 0.5) * scale - 0.5;
        const double miss_x = scale * u + between(back, 0, back_height, back_width, to_y, to_x);
        const double miss_y = scale * v + between(back, back_size, back_height, back_width, to_y, to_x);
        const double missed = 2 * std::hypot(miss_x, miss_y),
                     allowed = std::pow(1 + 2 * scale * std::hypot(u, v) / 20, 2);
        expected[i] = sure[i] / (1 + std::pow(missed / allowed, 2));
      }
      const auto out = b.matrix<Real>(height, width, sure);
      b.ops.check_return(b.matrix<Real>(2 * height, width, flow), b.matrix<Real>(2 * back_height, back_width, back),
                         static_cast<float>(scale), out);
      near(b.read(out), expected, 5e-5, height, " x ", width, ", scale ", scale);
    }
  }
});

// ---- fill -----------------------------------------------------------------------------------------------------------

/// Solves (1 + lambda sum w) F = f + lambda sum w F along one line. `step` is the distance of its elements, w[i] the
/// weight between elements i and i + 1.
void smooth_line(double* f, const double* w, int count, int step, double lambda) {
  Doubles factor(count);
  double before = 0, last = 0, value = 0;
  for (int i = 0; i < count; i++) {
    const double after = i + 1 < count ? lambda * w[i * step] : 0, scale = 1 + before + after - before * last;
    f[i * step] = value = (f[i * step] + before * value) / scale;
    factor[i] = last = after / scale;
    before = after;
  }
  for (int i = count - 2; i >= 0; i--) f[i * step] += factor[i] * f[(i + 1) * step];
}

Map filled(const std::array<Map, 3>& image, const Values& flow, const Values& sure, const FillOptions& options) {
  const int height = image[0].rows, width = image[0].cols;
  const auto size = static_cast<std::size_t>(height) * width;
  Map right(height, width), down(height, width);
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      double to_right = 0, to_below = 0;
      for (const Map& c : image) {
        to_right += std::abs(c.at(y, std::min(x + 1, width - 1)) - c.at(y, x));
        to_below += std::abs(c.at(std::min(y + 1, height - 1), x) - c.at(y, x));
      }
      right.at(y, x) = std::exp(-to_right / options.edge), down.at(y, x) = std::exp(-to_below / options.edge);
    }
  }
  std::array<Map, 3> sums{Map(height, width), Map(height, width), Map(height, width)};
  for (std::size_t i = 0; i < size; i++) {
    const double c = std::max(sure[i], 1e-4F);
    sums[0].v[i] = c * flow[i], sums[1].v[i] = c * flow[size + i], sums[2].v[i] = c;
  }
  for (int pass = 1; pass <= options.passes; pass++) {
    const double lambda =
        1.5 * options.smoothness * std::pow(4, options.passes - pass) / (std::pow(4, options.passes) - 1);
    for (Map& sum : sums) {
      for (int y = 0; y < height; y++) smooth_line(&sum.at(y, 0), &right.at(y, 0), width, 1, lambda);
      for (int x = 0; x < width; x++) smooth_line(&sum.at(0, x), &down.at(0, x), height, width, lambda);
    }
  }
  Map out(2 * height, width);
  for (std::size_t i = 0; i < size; i++) {
    const double around = sums[2].v[i], keep = sure[i] / (sure[i] + options.keep * around);
    out.v[i] = keep * flow[i] + (1 - keep) * sums[0].v[i] / around;
    out.v[size + i] = keep * flow[size + i] + (1 - keep) * sums[1].v[i] / around;
  }
  return out;
}

const WithoutOperands fills("fill_flow mixes each motion with the mean around, up to the edges", [](Bench& b,
                                                                                                    Random& random) {
  for (const auto [height, width] : {std::array{8, 8}, {9, 13}, {61, 47}, {33, 65}, {120, 160}}) {
    const FramePyramid pyramid(b.ops, 2 * height, 2 * width);
    build(b, Picture(2 * height, 2 * width, rgb, random), pyramid);
    const Image& image = pyramid.levels()[1];
    const auto size = static_cast<std::size_t>(height) * width;
    const Values flow = random.values(2 * size, 9);
    Values sure = random.values(size);
    for (float& v : sure) v = std::max(v, 0.F);  // a half of the pixels are not sure at all
    // Noise is all edges: the second weighs them so that motion spreads far.
    for (const FillOptions& options :
         {FillOptions{}, FillOptions{.passes = 3, .edge = 200}, FillOptions{.passes = 1, .smoothness = 7}}) {
      const auto out = b.matrix<Real>(2 * height, width, flow);
      b.ops.fill_flow(image, out, b.matrix<Real>(height, width, sure), options, b.matrix<Real>(5 * height, width));
      const std::array colors{plane_of(b, image, 0), plane_of(b, image, 1), plane_of(b, image, 2)};
      near(b.read(out), filled(colors, flow, sure, options).v, 2e-4, height, " x ", width, ", ", options.passes,
           " passes");
    }
  }
});

// ---- variational step -----------------------------------------------------------------------------------------------

/// One tile of the variational step: rows `top` to `bottom` and columns `left` to `right`, with the halo.
class VariationalTile {
 public:
  VariationalTile(const Map& from, const Map& to, const Map& flow, const VariationalOptions& options)
      : options_(options),
        height_(from.rows),
        width_(from.cols),
        mean_(height_, width_),
        change_(height_, width_),
        u_(height_, width_),
        v_(height_, width_),
        inside_(height_, width_) {
    for (int y = 0; y < height_; y++) {
      for (int x = 0; x < width_; x++) {
        const double u = sane(flow.at(y, x)), v = sane(flow.at(height_ + y, x));
        const double warped = between(to, y + v, x + u);
        mean_.at(y, x) = (warped + from.at(y, x)) / 2, change_.at(y, x) = warped - from.at(y, x);
        u_.at(y, x) = u, v_.at(y, x) = v;
        inside_.at(y, x) = x + u >= 0 && x + u <= width_ - 1 && y + v >= 0 && y + v <= height_ - 1 ? 1 : 0;
      }
    }
  }

  /// Writes the tile whose first pixel is (y, x).
  void solve(int y, int x, Map& out) const {
    const int bottom = std::min(y + variational_tile_height, height_),
              right = std::min(x + variational_tile_width, width_);
    const Area area{std::max(0, y - options_.halo), std::max(0, x - options_.halo),
                    std::min(bottom + options_.halo, height_), std::min(right + options_.halo, width_)};
    Map u = u_, v = v_;
    for (int k = 0; k < options_.outer; k++) iterate(area, u, v);
    for (int i = y; i < bottom; i++) {
      for (int j = x; j < right; j++) out.at(i, j) = u.at(i, j), out.at(height_ + i, j) = v.at(i, j);
    }
  }

 private:
  struct Area {
    int top, left, bottom, right;
  };
  /// M (u, v) = b, without the smoothness.
  struct Data {
    double uu = 0, uv = 0, vv = 0, bu = 0, bv = 0;

    /// A constancy: e = t + x du + y dv, weighted.
    void add(double weight, double x, double y, double t, double u, double v) {
      uu += weight * x * x, uv += weight * x * y, vv += weight * y * y;
      bu += weight * x * (x * u + y * v - t), bv += weight * y * (x * u + y * v - t);
    }
  };

  double sane(double motion) const {
    const double longest = 2.0 * (height_ + width_);
    return std::isfinite(motion) ? std::clamp(motion, -longest, longest) : 0;
  }
  /// Bilinear; the edge is repeated.
  static double between(const Map& m, double y, double x) {
    y = std::clamp(y, 0.0, m.rows - 1.0), x = std::clamp(x, 0.0, m.cols - 1.0);
    const int top = static_cast<int>(y), left = static_cast<int>(x);
    const int bottom = std::min(top + 1, m.rows - 1), right = std::min(left + 1, m.cols - 1);
    const double part_y = y - top, part_x = x - left;
    return (m.at(top, left) * (1 - part_x) + m.at(top, right) * part_x) * (1 - part_y) +
           (m.at(bottom, left) * (1 - part_x) + m.at(bottom, right) * part_x) * part_y;
  }
  static double held(const Map& m, int y, int x) {
    return m.at(std::clamp(y, 0, m.rows - 1), std::clamp(x, 0, m.cols - 1));
  }
  static double dx(const Map& m, int y, int x) { return (held(m, y, x + 1) - held(m, y, x - 1)) / 2; }
  static double dy(const Map& m, int y, int x) { return (held(m, y + 1, x) - held(m, y - 1, x)) / 2; }
  static double robust(double square) { return 1 / std::sqrt(square + 0.02 * 0.02); }

  Data data(int y, int x, double u, double v) const {
    const double gx = dx(mean_, y, x), gy = dy(mean_, y, x), gt = change_.at(y, x);
    const double xx = (dx(mean_, y, x + 1) - dx(mean_, y, x - 1)) / 2;
    const double xy = (dx(mean_, y + 1, x) - dx(mean_, y - 1, x)) / 2;
    const double yy = (dy(mean_, y + 1, x) - dy(mean_, y - 1, x)) / 2;
    const double xt = dx(change_, y, x), yt = dy(change_, y, x);
    const double inside = inside_.at(y, x), u0 = u_.at(y, x), v0 = v_.at(y, x), du = u - u0, dv = v - v0;
    const double n = inside / (gx * gx + gy * gy + 0.01), nx = inside / (xx * xx + xy * xy + 0.01),
                 ny = inside / (yy * yy + xy * xy + 0.01);
    const auto square = [](double e) { return e * e; };
    const double ex = square(xt + xx * du + xy * dv), ey = square(yt + xy * du + yy * dv);
    const double gradient = options_.gradient / 2 * robust(nx * ex + ny * ey);
    Data sum;
    sum.add(options_.brightness / 2 * n * robust(n * square(gt + gx * du + gy * dv)), gx, gy, gt, u0, v0);
    sum.add(gradient * nx, xx, xy, xt, u0, v0);
    sum.add(gradient * ny, xy, yy, yt, u0, v0);
    return sum;
  }

  void iterate(const Area& area, Map& u, Map& v) const {
    Map smooth(height_, width_);  // between a pixel and its neighbours to the right and below
    std::vector<Data> all(static_cast<std::size_t>(height_) * width_);
    for (int y = area.top; y < area.bottom; y++) {
      for (int x = area.left; x < area.right; x++) {
        const int below = std::min(y + 1, area.bottom - 1), right = std::min(x + 1, area.right - 1);
        double square = 0;
        for (const Map* m : {&u, &v}) {
          square += std::pow(m->at(y, right) - m->at(y, x), 2) + std::pow(m->at(below, x) - m->at(y, x), 2);
        }
        smooth.at(y, x) = options_.smoothness / 2 * robust(square);
        all[static_cast<std::size_t>(y) * width_ + x] = data(y, x, u.at(y, x), v.at(y, x));
      }
    }
    for (int sweep = 0; sweep < 2 * options_.inner; sweep++) {
      for (int y = area.top; y < area.bottom; y++) {
        for (int x = area.left; x < area.right; x++) {
          if ((x + y) % 2 != sweep % 2) continue;
          Data d = all[static_cast<std::size_t>(y) * width_ + x];
          const auto neighbour = [&](int to_y, int to_x, double weight) {
            if (to_y < area.top || to_y >= area.bottom || to_x < area.left || to_x >= area.right) return;
            d.uu += weight, d.vv += weight, d.bu += weight * u.at(to_y, to_x), d.bv += weight * v.at(to_y, to_x);
          };
          neighbour(y, x - 1, x > 0 ? smooth.at(y, x - 1) : 0), neighbour(y, x + 1, smooth.at(y, x));
          neighbour(y - 1, x, y > 0 ? smooth.at(y - 1, x) : 0), neighbour(y + 1, x, smooth.at(y, x));
          d.uu += 1e-6, d.vv += 1e-6;
          const double determinant = d.uu * d.vv - d.uv * d.uv;
          const double next_u = (d.vv * d.bu - d.uv * d.bv) / determinant;
          const double next_v = (d.uu * d.bv - d.uv * d.bu) / determinant;
          u.at(y, x) += options_.relaxation * (next_u - u.at(y, x));
          v.at(y, x) += options_.relaxation * (next_v - v.at(y, x));
        }
      }
    }
  }

  const VariationalOptions& options_;
  int height_, width_;
  Map mean_, change_, u_, v_, inside_;
};

Map refined(const Map& from, const Map& to, const Map& flow, const VariationalOptions& options) {
  Map out(flow.rows, flow.cols);
  const VariationalTile tile(from, to, flow, options);
  for (int y = 0; y < from.rows; y += variational_tile_height) {
    for (int x = 0; x < from.cols; x += variational_tile_width) tile.solve(y, x, out);
  }
  return out;
}

void check_variational(Bench& b, const Image& from, const Image& to, int plane, const Values& flow,
                       const VariationalOptions& options) {
  const auto out = b.matrix<Real>(2 * from.height, from.width);
  b.ops.refine_variational(from, to, plane, b.matrix<Real>(2 * from.height, from.width, flow), options, out);
  const Map expected =
      refined(plane_of(b, from, plane), plane_of(b, to, plane), {2 * from.height, from.width, flow}, options);
  near(b.read(out), expected.v, 2e-3, from.height, " x ", from.width, ", plane ", plane, ", ", options.outer, " x ",
       options.inner, ", halo ", options.halo);
}

const WithoutOperands variational("refine_variational solves tiles by red-black SOR", [](Bench& b, Random& random) {
  // 61 x 75 is four tiles, 97 x 129 nine, the last one pixel high and wide.
  for (const auto [height, width] : {std::array{1, 1}, {1, 70}, {8, 8}, {9, 13}, {61, 75}, {97, 129}}) {
    const FramePyramid from(b.ops, height, width), to(b.ops, height, width);
    build(b, Picture(height, width, gray, random), from);
    build(b, Picture(height, width, gray, random), to);
    const Values flow = random.values(static_cast<std::size_t>(2) * height * width, 3);
    check_variational(b, from.levels()[0], to.levels()[0], 0, flow, {.outer = 2, .inner = 4});
    check_variational(b, from.levels()[0], to.levels()[0], 0, flow, {.outer = 1, .inner = 3, .gradient = 0, .halo = 4});
    if (from.levels().size() > 1) {
      const Image &half = from.levels()[1], &half_to = to.levels()[1];
      const Values half_flow = random.values(static_cast<std::size_t>(2) * half.height * half.width, 2);
      check_variational(b, half, half_to, 3, half_flow, {});
    }
  }
});

const WithoutOperands insane("refine_variational takes motion that is not finite for none", [](Bench& b,
                                                                                               Random& random) {
  const int height = 21, width = 34;
  const FramePyramid from(b.ops, height, width), to(b.ops, height, width);
  build(b, Picture(height, width, rgb, random), from);
  build(b, Picture(height, width, rgb, random), to);
  Values flow = random.values(static_cast<std::size_t>(2) * height * width, 3);
  const float strange[] = {NAN, INFINITY, -INFINITY, 1e30F, -1e30F, 300, -40};
  for (std::size_t i = 0; i < flow.size(); i += 29) flow[i] = strange[i % std::size(strange)];
  check_variational(b, from.levels()[0], to.levels()[0], 0, flow, {.outer = 1, .inner = 2});
});

// ---- doubled flow ---------------------------------------------------------------------------------------------------

const WithoutOperands doubles("double_flow is twice the flow at twice the size, bilinear", [](Bench& b,
                                                                                              Random& random) {
  for (const auto [height, width] : {std::array{1, 1}, {1, 4}, {8, 8}, {9, 13}, {61, 47}}) {
    const Values flow = random.values(static_cast<std::size_t>(2) * height * width, 9);
    const Map in(2 * height, width, flow);
    for (const auto [more_rows, more_cols] : {std::array{0, 0}, {1, 0}, {0, 1}, {1, 1}}) {
      const int to_height = 2 * height + more_rows, to_width = 2 * width + more_cols;
      Map expected(2 * to_height, to_width);
      for (int y = 0; y < 2 * to_height; y++) {
        for (int x = 0; x < to_width; x++) {
          const double at_y = std::clamp((y % to_height + 0.5) / 2 - 0.5, 0.0, height - 1.0);
          const double at_x = std::clamp((x + 0.5) / 2 - 0.5, 0.0, width - 1.0);
          const int top = static_cast<int>(at_y), left = static_cast<int>(at_x);
          for (int i = top; i <= std::min(top + 1, height - 1); i++) {
            for (int j = left; j <= std::min(left + 1, width - 1); j++) {
              const double weight = (1 - std::abs(i - at_y)) * (1 - std::abs(j - at_x));
              expected.at(y, x) += 2 * weight * in.at(y / to_height * height + i, j);
            }
          }
        }
      }
      const auto out = b.matrix<Real>(2 * to_height, to_width);
      b.ops.double_flow(b.matrix<Real>(2 * height, width, flow), out);
      near(b.read(out), expected.v, 1e-5, height, " x ", width, " to ", to_height, " x ", to_width);
    }
  }
});

// ---- sharper edges --------------------------------------------------------------------------------------------------

/// What sharpen_edges is given: a frame, a flow of level 0, and how sure level 1 was.
struct Blurred {
  FramePyramid pyramid;
  Values flow, sure;

  Blurred(Bench& b, const Picture& picture, Values motions, Values certain)
      : pyramid(b.ops, picture.height, picture.width), flow(std::move(motions)), sure(std::move(certain)) {
    build(b, picture, pyramid);
  }
  const Image& image() const { return pyramid.levels()[0]; }
  const Image& half() const { return pyramid.levels()[1]; }

  Values sharpened(Bench& b, int passes, const SharpenOptions& options) const {
    const int height = image().height, width = image().width;
    const RealMatrix certain = b.matrix<Real>(half().height, half().width, sure);
    RealMatrix in = b.matrix<Real>(2 * height, width, flow), out = b.matrix<Real>(2 * height, width);
    for (int i = 0; i < passes; i++) {
      b.ops.sharpen_edges(image(), half(), in, certain, options, out);
      std::swap(in, out);
    }
    return b.read(in);
  }
};

/// Checks one pass against the definition of the weighted median: the smaller values of the window and those after it
/// weigh no more than a half each.
void check_sharpened(Bench& b, const Blurred& given, const SharpenOptions& options) {
  const int height = given.image().height, width = given.image().width;
  const Values out = given.sharpened(b, 1, options);
  const Map flow(2 * height, width, given.flow), sure(given.half().height, given.half().width, given.sure);
  const Map luma = plane_of(b, given.image(), 0);
  const std::array colors{plane_of(b, given.half(), 0), plane_of(b, given.half(), 1), plane_of(b, given.half(), 2)};
  const auto held = [](const Map& m, int y, int x) {
    return m.at(std::clamp(y, 0, m.rows - 1), std::clamp(x, 0, m.cols - 1));
  };
  const auto motion = [&](int plane, int y, int x) {
    return flow.at(plane * height + std::clamp(y, 0, height - 1), std::clamp(x, 0, width - 1));
  };
  const auto excess = [&](int y, int x) {
    const double u = motion(0, y, x), v = motion(1, y, x);
    double most = 0;
    for (const auto [dy, dx] : {std::array{0, -6}, {0, 6}, {-6, 0}, {6, 0}}) {
      most = std::max(most, std::pow(motion(0, y + dy, x + dx) - u, 2) + std::pow(motion(1, y + dy, x + dx) - v, 2));
    }
    return most - std::pow(options.step, 2) - std::pow(options.share, 2) * (u * u + v * v);
  };
  const auto weight = [&](int y, int x, int dy, int dx) {
    const int to_y = std::clamp(y + dy, 0, height - 1), to_x = std::clamp(x + dx, 0, width - 1);
    double color = 0;
    for (const Map& c : colors) color += std::abs(held(c, to_y / 2, to_x / 2) - held(c, y / 2, x / 2)) / 3;
    const double unlike = (std::abs(luma.at(to_y, to_x) - luma.at(y, x)) + color) / options.color;
    return std::exp(-unlike - (dy * dy + dx * dx) / (2 * std::pow(options.distance, 2))) *
           std::max<double>(held(sure, to_y / 2, to_x / 2), options.least);
  };
  int sharpened = 0;
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      const double beyond = excess(y, x);
      if (std::abs(beyond) < 1e-3) continue;  // as near to an edge as float32 can tell
      for (int plane = 0; plane < 2; plane++) {
        const double actual = out[static_cast<std::size_t>(plane * height + y) * width + x];
        if (beyond < 0) {
          check::that(actual == motion(plane, y, x), height, " x ", width, ": ", y, ", ", x, " has no edge near");
          continue;
        }
        sharpened++;
        double least = actual, most = actual, all = 0, below = 0, above = 0;
        bool found = false;
        for (int dy = -6; dy <= 6; dy += 2) {
          for (int dx = -6; dx <= 6; dx += 2) {
            const double value = motion(plane, y + dy, x + dx);
            least = std::min(least, value), most = std::max(most, value);
            found |= value == actual;
          }
        }
        const double slack = (most - least) * 2e-5;
        for (int dy = -6; dy <= 6; dy += 2) {
          for (int dx = -6; dx <= 6; dx += 2) {
            const double value = motion(plane, y + dy, x + dx), part = weight(y, x, dy, dx);
            all += part;
            if (value < actual - slack) below += part;
            if (value > actual + slack) above += part;
          }
        }
        check::that(found && below <= 0.5001 * all && above <= 0.5001 * all, height, " x ", width, ": ", actual, " at ",
                    y, ", ", x, ", of which ", below / all, " is less and ", above / all, " is more");
      }
    }
  }
  check::that(sharpened > height * width / 4, "only ", sharpened, " values were sharpened");
}

const WithoutOperands sharpens("sharpen_edges takes the weighted median near motion edges", [](Bench& b,
                                                                                               Random& random) {
  for (const auto [height, width] : {std::array{16, 16}, {17, 23}, {61, 47}, {45, 131}}) {
    const auto size = static_cast<std::size_t>(height) * width;
    Values flow = random.values(2 * size, 1.5F);
    for (std::size_t i = 0; i < size; i++) {  // a third of the columns moves far, and a little of it varies
      if (static_cast<int>(i) % width > width * 2 / 3) flow[i] -= 70, flow[i] *= 0.1F;
    }
    Values sure = random.values(static_cast<std::size_t>(height / 2) * (width / 2));
    for (float& v : sure) v = std::max(v, 0.F);
    Picture picture(height, width, rgb, random);
    for (std::uint8_t& v : picture.bytes) v = static_cast<std::uint8_t>(v / 8);  // alike enough for many to count
    const Blurred given(b, picture, flow, sure);
    check_sharpened(b, given, {});
    check_sharpened(b, given, {.step = 2, .share = 0.5F, .color = 5, .distance = 3, .least = 0.2F});
  }
});

/// A frame of two colours side by side, the border at column `border`, and a flow whose step there is blurred.
Blurred two_colors(Bench& b, Random& random, int height, int width, int border) {
  Picture picture(height, width, rgb, random);
  Values flow;
  for (int y = 0; y < 2 * height; y++) {
    for (int x = 0; x < width; x++) {
      const float part = std::clamp((static_cast<float>(x - border) + 4.5F) / 8, 0.F, 1.F);
      flow.push_back(y < height ? 5 * part : -3 * part);
      const FramePlane plane = picture.frame().planes[0];
      std::uint8_t* pixel =
          &picture.bytes[static_cast<std::size_t>(plane.offset + (y % height) * plane.stride + 3 * x)];
      pixel[0] = 90, pixel[1] = x < border ? 60 : 120, pixel[2] = x < border ? 150 : 40;
    }
  }
  return {b, picture, flow, Values(static_cast<std::size_t>(height / 2) * (width / 2), 1)};
}

const WithoutOperands steps("sharpen_edges makes a blurred step of the flow one at the border of two colours",
                            [](Bench& b, Random& random) {
                              constexpr int height = 40, width = 90, border = 44;
                              const Values out = two_colors(b, random, height, width, border).sharpened(b, 3, {});
                              for (int y = 0; y < height; y++) {
                                for (int x = 0; x < width; x++) {
                                  const auto i = static_cast<std::size_t>(y) * width + x;
                                  const float u = out[i], v = out[static_cast<std::size_t>(height) * width + i];
                                  check::that(u == (x < border ? 0.F : 5.F) && v == (x < border ? 0.F : -3.F), u, ", ",
                                              v, " at column ", x);
                                }
                              }
                            });

// ---- sequences ------------------------------------------------------------------------------------------------------

/// All stages of this file, one after the other, from frames of another size to a flow.
class Sequence {
 public:
  static constexpr int height = 90, width = 131;

  explicit Sequence(Bench& b) : b_(b), from_(b.ops, height, width), to_(b.ops, height, width) {
    for (Picture& picture : pictures_) smooth(picture);
    for (float& v : certain_) v = std::abs(v);
  }

  /// Run, recorded and replayed in turn.
  Values run() {
    Ops& ops = b_.ops;
    ops.write(start_, flow_), ops.write(certain_, sure_);
    const std::array frames{ops.stage(pictures_[0].frame(), 0, 64, 64), ops.stage(pictures_[1].frame(), 1, 64, 64)};
    const SequenceKey key{77};
    ops.sequence(&key, frames, [&] {
      const auto from = from_.levels(), to = to_.levels();
      ops.image_pyramid(frames[0], from);
      ops.image_pyramid(frames[1], to);
      ops.find_covered(flow_, sure_, best_);
      ops.fill_flow(from[1], flow_, sure_, {}, scratch_);
      ops.refine_variational(from[1], to[1], Image::luma_of(1), flow_, {}, refined_);
      ops.double_flow(refined_, doubled_);
      ops.refine_variational(from[0], to[0], Image::luma_of(0), doubled_, {}, out_);
      ops.sharpen_edges(from[0], from[1], out_, sure_, {}, doubled_);
    });
    ops.finish();
    return b_.read(doubled_);
  }

 private:
  static constexpr int half_height = height / 2, half_width = width / 2;

  /// Noise becomes like a photo, with slopes that are wider than a pixel.
  static void smooth(Picture& picture) {
    const auto before = picture.bytes;
    const auto stride = static_cast<std::size_t>(picture.frame().planes[0].stride);
    for (std::size_t i = 4 * stride + 4; i + 4 * stride + 4 < before.size(); i++) {
      int sum = 0;
      for (std::size_t k = 0; k < 81; k++) sum += before[i + k / 9 * stride + k % 9 - 4 * stride - 4];
      picture.bytes[i] = static_cast<std::uint8_t>(std::clamp(sum / 81 * 4 - 384, 0, 255));
    }
  }

  Bench& b_;
  Random random_{11};
  std::array<Picture, 2> pictures_{Picture(200, 180, made_formats().at("nv12"), random_),
                                   Picture(200, 180, made_formats().at("nv12"), random_)};
  Values start_ = random_.values(static_cast<std::size_t>(2) * half_height * half_width, 4);
  Values certain_ = random_.values(static_cast<std::size_t>(half_height) * half_width);
  FramePyramid from_, to_;
  RealMatrix flow_ = b_.matrix<Real>(2 * half_height, half_width);
  RealMatrix refined_ = b_.matrix<Real>(2 * half_height, half_width);
  RealMatrix sure_ = b_.matrix<Real>(half_height, half_width), best_ = b_.matrix<Real>(half_height, half_width);
  RealMatrix scratch_ = b_.matrix<Real>(5 * half_height, half_width);
  RealMatrix doubled_ = b_.matrix<Real>(2 * height, width), out_ = b_.matrix<Real>(2 * height, width);
};

const WithoutOperands replayed(
    "the stages of every pixel give the same bits again, recorded and replayed", [](Bench& b, Random& /*random*/) {
      Sequence sequence(b);
      const Values first = sequence.run();
      for (int i = 0; i < 2; i++) {
        const Values again = sequence.run();
        check::that(std::memcmp(again.data(), first.data(), sizeof(float) * first.size()) == 0, "run ", i + 2);
      }
    });

const WithoutOperands agreed("the stages of every pixel agree with the CPU engine to a hundredth of a pixel",
                             [](Bench& b, Random& /*random*/) {
                               Bench cpu(std::make_unique<cpu::CpuOps>(1), 0);
                               const Values expected = Sequence(cpu).run(), actual = Sequence(b).run();
                               std::size_t off = 0;
                               for (std::size_t i = 0; i < actual.size(); i++)
                                 off += std::abs(actual[i] - expected[i]) <= 0.01F ? 0 : 1;
                               check::that(off * 1000 <= actual.size(), off, " of ", actual.size(), " values differ");
                             });

}  // namespace
