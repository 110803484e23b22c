// The refinement on frames whose motion is known, because they are drawn from formulas.

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"
#include "count_allocations.h"
#include "cpu/cpu_ops.h"
#include "model/refiner.h"

using namespace flow;

namespace {

/// An RGB picture.
struct Picture {
  int height, width;
  std::vector<std::uint8_t> pixels;

  Picture(int h, int w) : height(h), width(w), pixels(static_cast<std::size_t>(3) * h * w) {}
  Frame frame() const { return {pixels.data(), width, height, std::ptrdiff_t{3} * width, PixelFormat::rgb}; }
};

Picture noise(int height, int width, unsigned seed) {
  Picture picture(height, width);
  std::mt19937 generator(seed);
  for (auto& p : picture.pixels) p = static_cast<std::uint8_t>(generator());
  return picture;
}

Picture plain(int height, int width, std::uint8_t level) {
  Picture picture(height, width);
  std::ranges::fill(picture.pixels, level);
  return picture;
}

/// Waves of many directions and lengths, each channel with its own.
class Waves {
 public:
  explicit Waves(unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<double> uniform(0, 1);
    for (auto& channel : waves_) {
      for (auto& wave : channel) {
        const double frequency = 6.28 / std::pow(2, 2 + 5 * uniform(generator)), angle = 6.28 * uniform(generator);
        wave = {frequency * std::cos(angle), frequency * std::sin(angle), 6.28 * uniform(generator)};
      }
    }
  }
  double operator()(int channel, double x, double y) const {
    double sum = 0;
    for (const auto& [fx, fy, phase] : waves_.at(static_cast<std::size_t>(channel))) {
      sum += std::sin(fx * x + fy * y + phase);
    }
    return std::clamp(128 + 22 * sum, 0.0, 255.0);
  }

 private:
  std::array<std::array<std::array<double, 3>, 10>, 3> waves_{};
};

/// The waves as they are seen where pixel (x, y) shows the point `point(x, y)`.
template <class Point>
Picture draw(const Waves& waves, int height, int width, const Point& point) {
  Picture picture(height, width);
  for (int y = 0, i = 0; y < height; y++) {
    for (int x = 0; x < width; x++) {
      const auto [px, py] = point(x, y);
      for (int c = 0; c < 3; c++) picture.pixels[i++] = static_cast<std::uint8_t>(std::lround(waves(c, px, py)));
    }
  }
  return picture;
}

/// A pair of frames that turns, grows and moves by up to some ten pixels, and its true flow (planar).
struct Pair {
  Picture from, to;
  std::vector<float> flow;
};

Pair moving_pair(int height, int width) {
  const Waves waves(7);
  // Frame 2 shows at (x, y) the point A (x, y) + b; so the point at (x, y) of frame 1 goes to A^-1 ((x, y) - b).
  const double a = 0.98, b = 0.03, c = -0.03, d = 0.98, shift_x = 9.4, shift_y = -4.7, determinant = a * d - b * c;
  const auto identity = [](double x, double y) { return std::pair(x, y); };
  const auto moved = [&](double x, double y) { return std::pair(a * x + b * y + shift_x, c * x + d * y + shift_y); };
  std::vector<float> flow;
  for (const bool vertical : {false, true}) {
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        const double px = x - shift_x, py = y - shift_y;
        const double to_x = (d * px - b * py) / determinant, to_y = (a * py - c * px) / determinant;
        flow.push_back(static_cast<float>(vertical ? to_y - y : to_x - x));
      }
    }
  }
  return {draw(waves, height, width, identity), draw(waves, height, width, moved), flow};
}

/// A flow of cells of `cell` pixels, each the mean of `flow` there and off by up to `error` px.
std::vector<float> coarse_start(const std::vector<float>& flow, int height, int width, int cell, float error) {
  std::mt19937 generator(3);
  std::uniform_real_distribution<float> off(-error, error);
  const int h = height / cell, w = width / cell;
  std::vector<float> start;
  for (int plane = 0; plane < 2; plane++) {
    for (int y = 0; y < h; y++) {
      for (int x = 0; x < w; x++) {
        double sum = 0;
        for (int i = 0; i < cell * cell; i++) {
          const std::ptrdiff_t row = plane * height + y * cell + i / cell;
          sum += flow[static_cast<std::size_t>(row * width + x * cell + i % cell)];
        }
        start.push_back((static_cast<float>(sum / (cell * cell)) + off(generator)) / static_cast<float>(cell));
      }
    }
  }
  return start;
}

/// A refiner on the CPU, for flows of one size.
class Refinement {
 public:
  Refinement(int height, int width, int threads, const cpu::Kernels& kernels = *cpu::runnable_kernels().front())
      : height_(height),
        width_(width),
        ops_(threads, kernels),
        refiner_(ops_),
        plan_(refiner_.plan(height, width)),
        from_(ops_, height, width),
        to_(ops_, height, width) {}

  /// `start` is planar, 2 * start_height x start_width, of cells of one pixel.
  std::vector<float> run(const Picture& from, const Picture& to, std::vector<float> start, int start_height,
                         const RefineOptions& options = {}) {
    std::vector<float> flow(static_cast<std::size_t>(2) * height_ * width_, NAN);
    run_into(from, to, start, start_height, options, flow);
    return flow;
  }
  void run_into(const Picture& from, const Picture& to, std::vector<float>& start, int start_height,
                const RefineOptions& options, std::vector<float>& flow) {
    const int start_width = static_cast<int>(start.size()) / 2 / start_height;
    ops_.image_pyramid(from.frame(), from_.levels());
    ops_.image_pyramid(to.frame(), to_.levels());
    const Refiner::Start starts[] = {{{start.data(), 2 * start_height, start_width, start_width}, 1}};
    refiner_.run(from_, to_, starts, options, plan_, {flow.data(), 2 * height_, width_, width_});
  }

 private:
  int height_, width_;
  cpu::CpuOps ops_;
  Refiner refiner_;
  Refiner::Plan plan_;
  FramePyramid from_, to_;
};

/// Mean end-point error over the pixels at least `border` px from the frame's edge.
double error_of(const std::vector<float>& flow, const std::vector<float>& truth, int height, int width, int border) {
  double sum = 0;
  int count = 0;
  const auto size = static_cast<std::size_t>(height) * width;
  for (int y = border; y < height - border; y++) {
    for (int x = border; x < width - border; x++, count++) {
      const std::size_t i = static_cast<std::size_t>(y) * width + x;
      sum += std::hypot(flow[i] - truth[i], flow[size + i] - truth[size + i]);
    }
  }
  return sum / count;
}

bool is_finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

struct Preset {
  const char* name;
  RefineOptions options;
};
const Preset presets[] = {{"fast", RefineOptions::fast()}, {"default", {}}, {"best", RefineOptions::best()}};

// ---- what it is for -------------------------------------------------------------------------------------------------

const check::Register precise(
    "a coarse flow that is off by pixels is refined to a twentieth of a pixel, by fast to a tenth", [] {
      constexpr int height = 240, width = 320, cell = 16;
      const Pair pair = moving_pair(height, width);
      const auto start = coarse_start(pair.flow, height, width, cell, 2);
      for (const cpu::Kernels* kernels : cpu::runnable_kernels()) {
        Refinement refinement(height, width, 2, *kernels);
        for (const auto& [name, options] : presets) {
          const auto flow = refinement.run(pair.from, pair.to, start, height / cell, options);
          const double error = error_of(flow, pair.flow, height, width, 24);
          check::that(error < (options.finest > 0 ? 0.1 : 0.05), kernels->name, ", ", name, ": EPE ", error);
        }
      }
    });

const check::Register exposed("a change of exposure costs hardly anything", [] {
  constexpr int height = 240, width = 320, cell = 16;
  Pair pair = moving_pair(height, width);
  for (auto& p : pair.to.pixels) p = static_cast<std::uint8_t>(0.7 * p + 30);
  Refinement refinement(height, width, 2);
  const auto flow = refinement.run(pair.from, pair.to, coarse_start(pair.flow, height, width, cell, 2), height / cell);
  const double error = error_of(flow, pair.flow, height, width, 24);
  check::that(error < 0.1, "EPE ", error);
});

const check::Register identical("a frame and itself have no motion at all, whatever the flow begins with", [] {
  constexpr int height = 120, width = 160;
  const Pair pair = moving_pair(height, width);
  std::vector<float> start(2 * 15 * 20);
  std::mt19937 generator(5);
  for (auto& v : start) v = std::uniform_real_distribution<float>(-1, 1)(generator);
  Refinement refinement(height, width, 2);
  for (const Picture& picture : {pair.from, noise(height, width, 4), plain(height, width, 90)}) {
    for (const auto& [name, options] : presets) {
      const auto flow = refinement.run(picture, picture, start, 15, options);
      for (const float v : flow) check::that(v == 0, name, ": ", v);
    }
  }
});

// ---- every size, every machine --------------------------------------------------------------------------------------

const check::Register sizes("every size, picture and start gives a finite flow", [] {
  constexpr std::pair<int, int> all[] = {{1, 1},   {1, 2},   {2, 1},   {1, 300}, {300, 1},  {7, 7},
                                         {8, 8},   {9, 17},  {16, 16}, {15, 40}, {16, 500}, {37, 61},
                                         {48, 64}, {49, 65}, {64, 48}, {113, 9}, {130, 127}};
  for (const auto& [height, width] : all) {
    Refinement refinement(height, width, 2);
    const Picture pictures[] = {noise(height, width, 1), plain(height, width, 0), plain(height, width, 255)};
    for (const Picture& from : pictures) {
      for (const Picture& to : pictures) {
        for (const float value : {0.F, 3.7F, -1e30F, NAN, INFINITY, -INFINITY}) {
          for (const auto& [name, options] : presets) {
            const std::vector<float> start(static_cast<std::size_t>(2) * 3 * 4, value);
            check::that(is_finite(refinement.run(from, to, start, 3, options)), height, " x ", width, ", ", name,
                        ", start ", value);
          }
        }
      }
    }
  }
});

const check::Register threads("any number of threads gives the same bits", [] {
  constexpr int height = 131, width = 203;
  const Pair pair = moving_pair(height, width);
  const std::vector<float> start(2 * 8 * 12, 0.1F);
  for (const cpu::Kernels* kernels : cpu::runnable_kernels()) {
    for (const auto& [name, options] : presets) {
      Refinement one(height, width, 1, *kernels);
      const auto expected = one.run(pair.from, pair.to, start, 8, options);
      for (const int count : {2, 3, 8}) {
        Refinement many(height, width, count, *kernels);
        check::that(many.run(pair.from, pair.to, start, 8, options) == expected, kernels->name, ", ", name, ", ", count,
                    " threads");
      }
    }
  }
});

const check::Register sets("instruction sets agree to a hundredth of a pixel", [] {
  constexpr int height = 240, width = 320;
  const Pair pair = moving_pair(height, width);
  const auto start = coarse_start(pair.flow, height, width, 16, 2);
  std::vector<float> first;
  for (const cpu::Kernels* kernels : cpu::runnable_kernels()) {
    Refinement refinement(height, width, 2, *kernels);
    const auto flow = refinement.run(pair.from, pair.to, start, height / 16);
    if (first.empty()) first = flow;
    std::size_t off = 0;
    for (std::size_t i = 0; i < flow.size(); i++) off += std::abs(flow[i] - first[i]) > 0.01F ? 1 : 0;
    check::that(off * 1000 <= flow.size(), kernels->name, ": ", off, " of ", flow.size(), " values differ");
  }
});

const check::Register steady("after the first frame of a size nothing is allocated", [] {
  constexpr int height = 97, width = 150;
  const Pair pair = moving_pair(height, width);
  std::vector<float> start(2 * 6 * 9, 0.2F), flow(static_cast<std::size_t>(2) * height * width);
  Refinement refinement(height, width, 2);
  for (const auto& [name, options] : presets) {
    refinement.run_into(pair.from, pair.to, start, 6, options, flow);
    const int before = allocations;
    refinement.run_into(pair.to, pair.from, start, 6, options, flow);
    check::that(allocations == before, name, ": ", allocations - before, " allocations");
  }
});

// ---- pyramid --------------------------------------------------------------------------------------------------------

/// A plane of a pyramid's level, without its border.
std::vector<float> pixels_of(const Image& image, int plane) {
  const auto* data = static_cast<const float*>(image.planes.data);
  std::vector<float> values;
  for (int y = 0; y < image.height; y++) {
    for (int x = 0; x < image.width; x++) {
      const std::ptrdiff_t row = plane * (image.height + 2 * image_border) + image_border + y;
      values.push_back(data[row * image.planes.stride + image_border + x]);
    }
  }
  return values;
}

const check::Register means("a level holds the means of 2 x 2 pixels, and luma", [] {
  constexpr int height = 41, width = 63;
  const Picture picture = noise(height, width, 2);
  cpu::CpuOps ops(2);
  const FramePyramid pyramid(ops, height, width);
  ops.image_pyramid(picture.frame(), pyramid.levels());
  const auto level = [&](double (*value)(const std::uint8_t*), int l) {
    const int block = 1 << l;
    std::vector<double> means;
    for (int y = 0; y < height / block; y++) {
      for (int x = 0; x < width / block; x++) {
        double sum = 0;
        for (int i = 0; i < block * block; i++) {
          const int row = y * block + i / block, column = x * block + i % block;
          sum += value(&picture.pixels[static_cast<std::size_t>(3) * (row * width + column)]);
        }
        means.push_back(sum / (block * block));
      }
    }
    return means;
  };
  const auto luma = [](const std::uint8_t* p) { return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]; };
  check::that(pyramid.levels().size() == 3, "levels: ", pyramid.levels().size());
  check::close(pixels_of(pyramid.levels()[0], 0), level(luma, 0), 1e-6, "luma of level 0");
  for (int l = 1; l < 3; l++) {
    const Image& image = pyramid.levels()[static_cast<std::size_t>(l)];
    check::close(pixels_of(image, 0), level([](const std::uint8_t* p) -> double { return p[0]; }, l), 1e-6, "red");
    check::close(pixels_of(image, 1), level([](const std::uint8_t* p) -> double { return p[1]; }, l), 1e-6, "green");
    check::close(pixels_of(image, 2), level([](const std::uint8_t* p) -> double { return p[2]; }, l), 1e-6, "blue");
    check::close(pixels_of(image, 3), level(luma, l), 1e-6, "luma");
  }
});

const check::Register formats("a pyramid is the same from every format that holds the same colours", [] {
  constexpr int height = 24, width = 34;
  Picture picture = noise(height, width, 6);
  for (std::size_t i = 0; i < picture.pixels.size(); i += 3)
    picture.pixels[i + 1] = picture.pixels[i + 2] = picture.pixels[i];
  cpu::CpuOps ops(1);
  const FramePyramid expected(ops, height, width), actual(ops, height, width);
  ops.image_pyramid(picture.frame(), expected.levels());
  for (const auto& [format, step] :
       {std::pair{PixelFormat::rgba, 4}, {PixelFormat::bgr, 3}, {PixelFormat::bgra, 4}, {PixelFormat::gray, 1}}) {
    const int stride = step * width + 5;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(stride) * height);
    for (int i = 0; i < height * width; i++) {
      for (int c = 0; c < std::min(step, 3); c++) {
        pixels[static_cast<std::size_t>(i / width * stride + i % width * step + c)] =
            picture.pixels[static_cast<std::size_t>(3) * i];
      }
    }
    ops.image_pyramid({pixels.data(), width, height, stride, format}, actual.levels());
    for (std::size_t l = 0; l < expected.levels().size(); l++) {
      for (int plane = 0; plane < Image::planes_of(static_cast<int>(l)); plane++) {
        check::that(pixels_of(actual.levels()[l], plane) == pixels_of(expected.levels()[l], plane), "format ",
                    static_cast<int>(format), ", level ", l);
      }
    }
  }
});

const check::Register resized("a frame of another size is resized without skipping pixels", [] {
  // A ramp stays a ramp under a symmetric filter, away from the edges.
  constexpr int height = 64, width = 96;
  Picture ramp(height, width);
  for (int i = 0; i < height * width; i++) {
    for (int c = 0; c < 3; c++) ramp.pixels[static_cast<std::size_t>(3) * i + c] = static_cast<std::uint8_t>(i % width);
  }
  cpu::CpuOps ops(2);
  for (const int to : {16, 24, 40, 96, 150}) {
    const FramePyramid pyramid(ops, 16, to);
    ops.image_pyramid(ramp.frame(), pyramid.levels());
    const auto row = pixels_of(pyramid.levels()[0], 0);
    for (int x = to / 6; x < to * 5 / 6; x++) {
      const double expected = (x + 0.5) * width / to - 0.5;
      check::that(std::abs(row[static_cast<std::size_t>(x)] - expected) < 0.02, to,
                  " px wide: ", row[static_cast<std::size_t>(x)], " at ", x, ", not ", expected);
    }
  }
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
