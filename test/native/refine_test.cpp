// The refinement on frames whose motion is known.

#include <cmath>
#include <random>
#include <vector>

#include "check.h"
#include "count_allocations.h"
#include "cpu_refiner.h"

using namespace flow;

namespace {

// ---- what it is for -------------------------------------------------------------------------------------------------

const check::Register precise(
    "a coarse flow that is off by pixels is refined to a twentieth of a pixel, by fast to a tenth", [] {
      constexpr int height = 240, width = 320, cell = 16;
      const Pair pair = moving_pair(height, width);
      const auto start = coarse_start(pair.flow, height, width, cell, 2);
      for (const cpu::Kernels* kernels : cpu::runnable_kernels()) {
        CpuRefiner refinement(height, width, 2, *kernels);
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
  CpuRefiner refinement(height, width, 2);
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
  CpuRefiner refinement(height, width, 2);
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
    CpuRefiner refinement(height, width, 2);
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
      CpuRefiner one(height, width, 1, *kernels);
      const auto expected = one.run(pair.from, pair.to, start, 8, options);
      for (const int count : {2, 3, 8}) {
        CpuRefiner many(height, width, count, *kernels);
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
    CpuRefiner refinement(height, width, 2, *kernels);
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
  CpuRefiner refinement(height, width, 2);
  for (const auto& [name, options] : presets) {
    refinement.run_into(pair.from, pair.to, start, 6, options, flow);
    const int before = allocations;
    refinement.run_into(pair.to, pair.from, start, 6, options, flow);
    check::that(allocations == before, name, ": ", allocations - before, " allocations");
  }
});

const check::Register memory("a refinement takes less than 60 bytes per pixel", [] {
  constexpr int height = 480, width = 640;
  cpu::CpuOps ops(1);
  const FramePyramid pyramid(ops, height, width);
  const std::size_t bytes = 2 * pyramid.bytes() + Refiner(ops).plan(height, width).bytes();
  check::that(bytes < std::size_t{60} * height * width, static_cast<double>(bytes) / (height * width));
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
       {std::pair{interleaved(4, 0, 1, 2), 4}, {interleaved(3, 2, 1, 0), 3}, {interleaved(1, 0, 0, 0), 1}}) {
    const int stride = step * width + 5;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(stride) * height);
    for (int i = 0; i < height * width; i++) {
      for (int c = 0; c < std::min(step, 3); c++) {
        pixels[static_cast<std::size_t>(i / width * stride + i % width * step + c)] =
            picture.pixels[static_cast<std::size_t>(3) * i];
      }
    }
    ops.image_pyramid(frame_of(pixels.data(), width, height, stride, format), actual.levels());
    for (std::size_t l = 0; l < expected.levels().size(); l++) {
      for (int plane = 0; plane < Image::planes_of(static_cast<int>(l)); plane++) {
        check::that(pixels_of(actual.levels()[l], plane) == pixels_of(expected.levels()[l], plane), "step ", step,
                    ", level ", l);
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
