// The cost of every stage of a frame: milliseconds, GFLOP/s and, on the CPU, the share of the multiply-add peak, which
// is measured in the same run. The seed's configuration on synthetic weights; no file is needed.
//
//   stage_bench [--engine cpu|cuda[:N]] [--precision fp16|bf16|fp32] [--threads N] [--frames N] [--height H] [--width
//   W]
//
// Prints one JSON object. A stage's time is the sum over its calls in a frame, and the median of that over the frames.
// On a GPU every call is launched and waited for by itself. That costs a few microseconds, which a recorded frame does
// not pay, and which are most of the time of the smallest stages.

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bench/json.h"
#include "bench/options.h"
#include "bench/stream.h"
#include "cpu/cpu_ops.h"
#include "ops/profiled_ops.h"

using namespace flow;

namespace {

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

  /// `peak` is in operations per second; 0 if it is not known.
  std::string json(double peak) const {
    std::vector<std::string> stages;
    for (const auto& [stage, entry] : last_) {
      const double seconds = median(seconds_.at(stage));
      json::Object object;
      object.text("stage", stage)
          .number("calls", entry.calls)
          .number("ms", seconds * 1e3)
          .number("gflop", entry.flop / 1e9)
          .number("gflops", entry.flop / seconds / 1e9);
      if (peak > 0) object.number("peakShare", entry.flop / seconds / peak);
      stages.push_back(object.str());
    }
    return json::array(stages);
  }

 private:
  std::map<std::string, std::vector<double>> seconds_;
  ProfiledOps::Profile last_;
};

}  // namespace

int main(int argc, char** argv) try {
  bench::Options options(
      "stage_bench [--engine cpu|cuda[:N]] [--precision fp16|bf16|fp32] [--threads N] [--frames N] [--height H] "
      "[--width W]");
  std::string engine_name = "cpu", precision;
  int threads = 0, frames = 15;
  bench::Size size;
  options.text("--engine", engine_name).text("--precision", precision).number("--threads", threads);
  options.number("--frames", frames).number("--height", size.height).number("--width", size.width);
  if (!options.parse(argc, argv).empty()) options.fail();
  const bench::NamedEngine named(engine_name, options);
  OpenEngine open = named.open(named.precisions(precision, options).front(), threads);
  const EngineInfo info = open.engine->describe();

  json::Object report;
  double peak = 0;
  if (info.gpu) {
    report.text("engine", named.name()).text("device", info.gpu->name).text("precision", name_of(info.precision));
  } else {
    peak = dynamic_cast<cpu::CpuOps&>(*open.ops).measure_peak();
    report.text("instructionSet", info.instruction_set).number("threads", info.threads);
  }
  auto profiled = std::make_unique<ProfiledOps>(std::move(open.ops));
  ProfiledOps& ops = *profiled;
  Network network = bench::load(bench::seed, std::move(profiled));
  bench::Stream stream(network, bench::seed, size);
  stream.encode();

  Part backbone, head;
  for (int i = -2; i < frames; i++) {  // two frames to warm up
    ops.reset();
    stream.encode();
    if (i >= 0) backbone.add(ops.profile());
    ops.reset();
    stream.find_flow();
    if (i >= 0) head.add(ops.profile());
  }

  report.number("height", size.height).number("width", size.width).number("frames", frames);
  if (peak > 0) report.number("peakGflops", peak / 1e9);
  report.raw("backbone", backbone.json(peak)).raw("head", head.json(peak));
  std::printf("%s\n", report.str().c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
