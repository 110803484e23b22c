// Latency of one frame of a stream on a GPU. One graph runs the backbone on the new frame, and the head on the features
// of the frame before and the new ones. Features stay on the device. Then the backbone and the head are measured again,
// each in a graph of its own. The seed's configuration on synthetic weights; no file is needed.
//
//   latency [--engine cuda[:N]|cpu] [--precision fp16|bf16|fp32] [--frames N] [--warm-up N] [--height H] [--width W]
//           [--json]
//
// Times are the caller's, from the call until the flow is in its memory, with staging, copies, launches and waits.
// Beside them is the device's time, by its own clock, from the start to the end of a graph, without copies from and to
// the host. Without --precision, all precisions of the GPU are measured, fp32 over a fifth of the frames.
// Prints a table, or with --json one JSON object.

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "bench/json.h"
#include "bench/options.h"
#include "bench/stream.h"
#include "cuda/cuda_ops.h"

using namespace flow;

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

/// Times of many frames, in ms. The quantile q is the smallest time that at least the share q of the frames does not
/// exceed.
class Times {
 public:
  void add(double ms) { ms_.push_back(ms), total_ += ms; }

  double quantile(double share) const {
    std::vector<double> sorted = ms_;
    std::ranges::sort(sorted);
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted.at(rank == 0 ? 0 : rank - 1);
  }
  explicit operator bool() const { return !ms_.empty(); }
  double per_second() const { return 1e3 * static_cast<double>(ms_.size()) / total_; }

  std::string json() const {
    return json::Object()
        .number("p50", quantile(.5))
        .number("p90", quantile(.9))
        .number("p95", quantile(.95))
        .number("p99", quantile(.99))
        .number("p999", quantile(.999))
        .number("max", quantile(1))
        .number("p99OverP50", quantile(.99) / quantile(.5))
        .str();
  }
  void print(const char* what) const {
    std::printf("  %-8s p50 %8.4f   p90 %8.4f   p95 %8.4f   p99 %8.4f   p99.9 %8.4f   max %8.4f   p99/p50 %.3f\n", what,
                quantile(.5), quantile(.9), quantile(.95), quantile(.99), quantile(.999), quantile(1),
                quantile(.99) / quantile(.5));
  }

 private:
  std::vector<double> ms_;
  double total_ = 0;
};

const bench::Model& model_of(const std::string& name, const bench::Options& options) {
  for (const bench::Model& model : bench::models) {
    if (name == model.name) return model;
  }
  options.fail();
}

struct Measured {
  Times frame, encode, head;  // the caller's
  Times device, device_encode, device_head;
  double load_seconds = 0, first_frame_ms = 0;
  bool finite = true;
};

/// `gpu` is `ops` if it is a GPU's, else null.
Measured measure(const bench::Model& model, std::unique_ptr<Ops> ops, cuda::CudaOps* gpu, bench::Size size, int frames,
                 int warm_up) {
  Measured measured;
  if (gpu != nullptr) gpu->time_sequences();
  const auto begin = Clock::now();
  Network network = bench::load(model, std::move(ops));
  measured.load_seconds = milliseconds(begin, Clock::now()) / 1e3;

  bench::Stream stream(network, model, size);
  /// Returns the caller's time of a call, in ms. Unless `caller` is null, adds it and the device's time to their lists.
  const auto timed = [&](Times* caller, Times* device, const auto& call) {
    const auto start = Clock::now();
    call();
    const double ms = milliseconds(start, Clock::now());
    if (caller == nullptr) return ms;
    caller->add(ms);
    if (gpu != nullptr) device->add(gpu->sequence_milliseconds());
    return ms;
  };
  const auto kept = [](int i, Times& times) { return i < 0 ? nullptr : &times; };
  stream.encode();
  for (int i = -warm_up; i < frames; i++) {
    const double ms = timed(kept(i, measured.frame), &measured.device, [&] { stream.advance(); });
    if (i == -warm_up) measured.first_frame_ms = ms;
  }
  for (int i = -warm_up; i < frames; i++) {
    timed(kept(i, measured.encode), &measured.device_encode, [&] { stream.encode(); });
    timed(kept(i, measured.head), &measured.device_head, [&] { stream.find_flow(); });
  }
  measured.finite = std::ranges::all_of(stream.flow(), [](float v) { return std::isfinite(v); });
  return measured;
}

std::string to_json(const std::string& precision, int frames, const Measured& measured) {
  json::Object object;
  object.text("precision", precision)
      .number("frames", frames)
      .raw("frameMs", measured.frame.json())
      .raw("encodeMs", measured.encode.json())
      .raw("headMs", measured.head.json());
  if (measured.device) {
    object.raw("deviceFrameMs", measured.device.json())
        .raw("deviceEncodeMs", measured.device_encode.json())
        .raw("deviceHeadMs", measured.device_head.json());
  }
  return object.number("framesPerSecond", measured.frame.per_second())
      .number("loadSeconds", measured.load_seconds)
      .number("firstFrameMs", measured.first_frame_ms)
      .boolean("finite", measured.finite)
      .str();
}

}  // namespace

int main(int argc, char** argv) try {
  bench::Options options(
      "latency [--model seed|default] [--engine cuda[:N]|cpu] [--precision fp16|bf16|fp32] [--frames N] [--warm-up N] "
      "[--height H] [--width W] [--json]");
  std::string name = "seed", engine = "cuda", precision;
  int frames = 1000, warm_up = 200;
  bench::Size size;
  bool as_json = false;
  options.text("--model", name).text("--engine", engine).text("--precision", precision).number("--frames", frames);
  options.number("--warm-up", warm_up).number("--height", size.height).number("--width", size.width);
  if (!options.flag("--json", as_json).parse(argc, argv).empty()) options.fail();
  const bench::Model& model = model_of(name, options);
  const bench::NamedEngine named(engine, options);
  const std::string device = named.device();
  if (!as_json)
    std::printf("%s, %s model, %d x %d, ms per frame\n", device.c_str(), name.c_str(), size.height, size.width);

  bool good = true;
  std::vector<std::string> results;
  for (const Precision number : named.precisions(precision, options)) {
    const std::string p = name_of(number);
    const bool slow = named.is_cuda() && precision.empty() && number == Precision::fp32;
    const int count = slow ? std::max(1, frames / 5) : frames;
    try {
      std::unique_ptr<Ops> ops = named.open(number).ops;
      auto* const gpu = dynamic_cast<cuda::CudaOps*>(ops.get());
      const Measured measured = measure(model, std::move(ops), gpu, size, count, warm_up);
      good = good && measured.finite;
      results.push_back(to_json(p, count, measured));
      if (as_json) continue;
      std::printf("%s, %d frames: %.1f frames/s%s\n", p.c_str(), count, measured.frame.per_second(),
                  measured.finite ? "" : ", and the flow is NaN or infinite");
      measured.frame.print("frame");
      measured.encode.print("encode");
      measured.head.print("head");
      if (!measured.device) continue;
      std::printf(" on the device:\n");
      measured.device.print("frame");
      measured.device_encode.print("encode");
      measured.device_head.print("head");
    } catch (const std::exception& error) {
      good = false;
      results.push_back(json::Object().text("precision", p).text("error", error.what()).str());
      if (!as_json) std::printf("%s: %s\n", p.c_str(), error.what());
    }
  }
  if (as_json) {
    std::printf("%s\n", json::Object()
                            .text("model", name)
                            .text("engine", named.name())
                            .text("device", device)
                            .number("height", size.height)
                            .number("width", size.width)
                            .raw("results", json::array(results))
                            .str()
                            .c_str());
  }
  return good ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
