// What every stage of a frame costs: milliseconds, GFLOP/s, and the share of the multiply-add peak that was measured in
// the same run. The seed's configuration on made-up weights; no file is needed.
//
//   stage_bench [--threads N] [--frames N] [--height H] [--width W]
//
// Prints one JSON object. A stage's time is the median over frames of what all its calls in a frame took.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "cpu/cpu_ops.h"
#include "made_up_weights.h"
#include "model/network.h"
#include "ops/profiled_ops.h"

using namespace flow;

namespace {

constexpr BackboneConfig vits16plus{384, 12, 6, BackboneConfig::Ffn::swiglu, 1536, 16, 4};
constexpr HeadConfig seed_head{256, 4, 320, 3, 16, 2};

struct Options {
  int threads = cpu::physical_cores();
  int frames = 15;
  int height = 640;
  int width = 640;
};

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string, int*> names{{"--threads", &options.threads},
                                          {"--frames", &options.frames},
                                          {"--height", &options.height},
                                          {"--width", &options.width}};
  for (int i = 1; i < argc; i += 2) {
    const auto name = names.find(argv[i]);
    if (name == names.end() || i + 1 == argc || (*name->second = std::atoi(argv[i + 1])) < 1) {
      std::fprintf(stderr, "usage: stage_bench [--threads N] [--frames N] [--height H] [--width W]\n");
      std::exit(2);
    }
  }
  return options;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// The stages of one part of the network, over all frames.
class Part {
 public:
  void add(const ProfiledOps::Profile& profile) {
    for (const auto& [name, entry] : profile) {
      seconds_[name].push_back(entry.seconds);
      last_[name] = entry;
    }
  }

  void print(const char* name, double peak) const {
    std::printf("\"%s\":[", name);
    const char* separator = "";
    for (const auto& [stage, entry] : last_) {
      const double seconds = median(seconds_.at(stage));
      std::printf("%s{\"stage\":\"%s\",\"calls\":%d,\"ms\":%.4f,\"gflop\":%.5f,\"gflops\":%.3f,\"peakShare\":%.4f}",
                  separator, stage.c_str(), entry.calls, seconds * 1e3, entry.flop / 1e9, entry.flop / seconds / 1e9,
                  entry.flop / seconds / peak);
      separator = ",";
    }
    std::printf("]");
  }

 private:
  std::map<std::string, std::vector<double>> seconds_;
  ProfiledOps::Profile last_;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  auto engine = std::make_unique<cpu::CpuOps>(options.threads);
  const std::string isa = engine->instruction_set();
  const double peak = engine->measure_peak();
  auto profiled = std::make_unique<ProfiledOps>(std::move(engine));
  ProfiledOps& ops = *profiled;
  MadeUpWeights weights(seed_head.fusion / 8);
  Network network(std::move(profiled), vits16plus, seed_head, weights, weights);

  const Grid grid{options.height / vits16plus.patch, options.width / vits16plus.patch};
  const int height = grid.height * seed_head.up, width = grid.width * seed_head.up;
  const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3) * options.height * options.width, 99);
  const Frame frame{pixels.data(), options.width, options.height, std::ptrdiff_t{3} * options.width, PixelFormat::rgb};
  std::vector<float> flow(static_cast<std::size_t>(2) * height * width);
  auto a = network.take_features(grid), b = network.take_features(grid);

  Part backbone, head;
  for (int i = -2; i < options.frames; i++) {  // two frames to warm up
    ops.reset();
    network.encode(frame, i % 2 == 0 ? *a : *b);
    if (i >= 0) backbone.add(ops.profile());
    ops.reset();
    network.flow(*a, *b, flow, height, width);
    if (i >= 0) head.add(ops.profile());
  }

  std::printf("{\"instructionSet\":\"%s\",\"threads\":%d,\"height\":%d,\"width\":%d,\"frames\":%d,\"peakGflops\":%.2f,",
              isa.c_str(), options.threads, options.height, options.width, options.frames, peak / 1e9);
  backbone.print("backbone", peak);
  std::printf(",");
  head.print("head", peak);
  std::printf("}\n");
}
