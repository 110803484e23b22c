// The whole network on made-up weights: promises that hold for any weights. With the sanitizers, it also shows that no
// size reads or writes past a buffer.

#include <random>

#include "check.h"
#include "count_allocations.h"
#include "cpu/cpu_ops.h"
#include "cpu/preprocess.h"
#include "made_frames.h"
#include "made_up_weights.h"
#include "model/frame_copy.h"
#include "network_calls.h"
#include "ops/error.h"

using namespace flow;

namespace {

constexpr BackboneConfig swiglu{48, 2, 2, BackboneConfig::Ffn::swiglu, 40, 8, 4};
constexpr BackboneConfig mlp{64, 1, 1, BackboneConfig::Ffn::mlp, 72, 16, 0};
constexpr HeadConfig refined{13, 2, 21, 2, 8, 1};
constexpr HeadConfig unrefined{16, 3, 24, 1, 16, 0};

struct Image {
  int width, height;
  std::vector<std::uint8_t> pixels;
  Image(int w, int h, unsigned seed) : width(w), height(h), pixels(static_cast<std::size_t>(3) * w * h) {
    std::mt19937 generator(seed);
    for (auto& p : pixels) p = static_cast<std::uint8_t>(generator());
  }
  Frame frame() const { return frame_of(pixels.data(), width, height); }
};

Network make_network(int threads, const BackboneConfig& backbone, const HeadConfig& head) {
  MadeUpWeights weights(3);
  return {std::make_unique<cpu::CpuOps>(threads), backbone, head, weights, weights};
}

std::vector<float> run(Network& network, Grid grid, int height, int width) {
  const Image a(61, 37, 1), b(61, 37, 2);
  std::vector<float> flow(static_cast<std::size_t>(2) * height * width, NAN);
  NetworkCalls(network).flow(a.frame(), b.frame(), grid, flow, height, width);
  for (const float v : flow) check::that(std::isfinite(v), "a value of the flow is ", v);
  return flow;
}

const check::Register threads("results are the same bits on any number of threads", [] {
  Network one = make_network(1, swiglu, refined), five = make_network(5, swiglu, refined);
  for (const Grid grid : {Grid{1, 1}, {2, 3}, {7, 10}, {30, 31}}) {
    check::that(run(one, grid, 8 * grid.height, 8 * grid.width) == run(five, grid, 8 * grid.height, 8 * grid.width),
                "they differ at ", grid.height, " x ", grid.width);
  }
});

/// An engine that shows in each of the first rounds another norm that must be apart, and then twice that operands are
/// out of range.
class ManyRounds : public cpu::CpuOps {
 public:
  explicit ManyRounds(int norms) : CpuOps(1), norms_(norms) {}
  bool in_range() override { return CpuOps::in_range() && ++round_ > norms_ + 2; }
  bool norm_apart(Packed& /*weights*/) override { return round_ <= norms_; }
  float excess(const Packed& /*weights*/, int /*part*/) const override { return 4; }

 private:
  int norms_, round_ = 0;
};

const check::Register rounds("norms that come apart one after the other leave the scales all of their attempts", [] {
  MadeUpWeights weights(3);
  Network network(std::make_unique<ManyRounds>(20), swiglu, refined, weights, weights);
  run(network, {2, 3}, 16, 24);
  check::that(!network.numerics().scaled.empty(), "nothing is scaled");
});

const check::Register sizes("sizes do not disturb each other, and a size that comes back gives the same flow", [] {
  Network network = make_network(2, mlp, unrefined);
  const auto first = run(network, {3, 4}, 50, 61);
  for (int n = 1; n < 8; n++) run(network, {n, 9 - n}, 16 * n, 16 * (9 - n));
  check::that(run(network, {3, 4}, 50, 61) == first, "the flow of the first size changed");
});

const check::Register features("a flow from features is the flow from frames, in both directions", [] {
  Network network = make_network(2, swiglu, refined);
  NetworkCalls calls(network);
  const Image a(61, 37, 1), b(61, 37, 2);
  const Grid grid{4, 5};
  const FeatureId fa = calls.encode(a.frame(), grid), fb = calls.encode(b.frame(), grid);
  std::vector<float> forward(2 * 32 * 40), backward(forward.size()), actual(forward.size());
  calls.flow(a.frame(), b.frame(), grid, forward, 32, 40);
  calls.flow(fa, fb, {}, actual, 32, 40);
  check::that(actual == forward, "forward");
  calls.flow(b.frame(), a.frame(), grid, backward, 32, 40);
  calls.flow(fb, fa, {}, actual, 32, 40);
  check::that(actual == backward, "backward");
  calls.flow(fb, a.frame(), grid, actual, 32, 40);
  check::that(actual == backward, "from features to a frame");
  const FeatureId next = calls.advance(fb, a.frame(), grid, actual, 32, 40);
  check::that(actual == backward, "to the next frame");
  calls.flow(next, b.frame(), grid, actual, 32, 40);
  check::that(actual == forward, "from the features of the next frame");
});

const check::Register both_ways("one request gives both flows, their occlusion, a picture and the similarity", [] {
  Network network = make_network(2, swiglu, refined);
  NetworkCalls calls(network);
  const Image a(61, 37, 1), b(61, 37, 2);
  const Grid grid{4, 5};
  constexpr int height = 37, width = 61, pixels = height * width;
  std::vector<float> flow(2 * pixels), backward(flow), expected(flow), similarity(1);
  std::vector<std::uint8_t> occlusion(pixels, 9), alone(occlusion), picture(3 * pixels), drawn(picture);
  Request request{.from = a.frame(), .to = b.frame(), .grid = grid, .height = height, .width = width};
  request.occlusion = alone;
  network.run(request);
  network.run({.from = a.frame(), .to = b.frame(), .grid = grid, .height = height, .width = width, .picture = drawn});
  request.flow = flow, request.backward = backward, request.occlusion = occlusion, request.picture = picture;
  request.similarity = similarity;
  network.run(request);
  calls.flow(a.frame(), b.frame(), grid, expected, height, width);
  check::that(flow == expected, "forward");
  calls.flow(b.frame(), a.frame(), grid, expected, height, width);
  check::that(backward == expected, "backward");
  check::that(occlusion == alone && picture == drawn, "a result depends on the others");
  check::that(std::ranges::all_of(occlusion, [](int v) { return v == 0 || v == 1; }), "a mask of other values");
  std::vector<float> similarity_alone(1);
  network.run(
      {.from = a.frame(), .to = b.frame(), .grid = grid, .height = 1, .width = 1, .similarity = similarity_alone});
  check::that(similarity == similarity_alone && std::abs(similarity[0]) < 1, "similarity ", similarity[0]);
});

const check::Register duplicates("a frame that comes again costs nothing and has no motion", [] {
  Network network = make_network(2, swiglu, refined);
  NetworkCalls calls(network);
  const Image a(61, 37, 1), b(61, 37, 2);
  std::vector<std::uint8_t> padded(static_cast<std::size_t>(200) * 37, 9);
  for (int y = 0; y < 37; y++) std::copy_n(&a.pixels[y * 183], 183, &padded[y * 200]);
  const Frame same = frame_of(padded.data(), 61, 37, 200);
  const Grid grid{4, 5};
  constexpr std::size_t pixels = 37 * 61;
  std::vector<float> flow(2 * pixels, 7), expected(2 * pixels);
  std::vector<std::uint8_t> occlusion(pixels, 7);
  FeatureId id = 1000;
  network.run({.from = a.frame(), .grid = grid, .keep_from = id, .skip_duplicate = true});
  const auto step = [&](const Frame& frame) {
    const Outcome outcome = network.run({.from = id,
                                         .to = frame,
                                         .grid = grid,
                                         .keep_to = id + 1,
                                         .skip_duplicate = true,
                                         .height = 37,
                                         .width = 61,
                                         .flow = flow,
                                         .occlusion = occlusion});
    network.release(id++);
    return outcome.duplicate;
  };
  for (int round = 0; round < 2; round++) {
    check::that(step(same), "it is not noticed");
    check::that(std::ranges::all_of(flow, [](float v) { return v == 0; }), "there is motion");
    check::that(std::ranges::all_of(occlusion, [](int v) { return v == 0; }), "something is hidden");
  }
  check::that(!step(b.frame()), "another frame is taken for a duplicate");
  calls.flow(a.frame(), b.frame(), grid, expected, 37, 61);
  check::that(flow == expected, "the flow after a duplicate");
  padded.back() ^= 1;  // the padding of the last row is not part of the frame
  check::that(!step(same), "the frame before the last is taken for a duplicate");
  padded[200 * 36 + 182] ^= 1;
  check::that(!step(same), "a frame of which one byte differs is taken for a duplicate");
});

const check::Register kept_memory("memory of features keeps them, and is used again once nobody has it", [] {
  const Image a(61, 37, 1), b(61, 37, 2);
  const Grid grid{4, 5};
  FeatureMemory kept;
  const auto values = [&] {
    const auto* first = static_cast<const float*>(kept.matrix.data);
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(grid.size()) * kept.matrix.stride);
  };
  std::vector<float> expected;
  {
    Network network = make_network(1, swiglu, refined);
    NetworkCalls calls(network);
    const FeatureId id = calls.encode(a.frame(), grid);
    kept = network.features(id);
    expected = values();
    check::that(expected != std::vector<float>(expected.size()), "no features");
    network.release(id);
    for (int i = 0; i < 20; i++) network.release(calls.encode(b.frame(), grid));
    check::that(values() == expected, "they were overwritten");
    const void* const place = kept.matrix.data;
    kept.memory.reset();
    std::vector<FeatureId> maps;
    const auto takes_place = [&] {
      maps.push_back(calls.encode(a.frame(), grid));
      return network.features(maps.back()).matrix.data == place;
    };
    check::that(takes_place() || takes_place(), "the memory is not used again");
    kept = network.features(maps.back());
  }
  check::that(values() == expected, "they ended with the network");
});

/// The error of a request.
std::string error_of(Network& network, const Request& request) {
  try {
    network.run(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

const check::Register refused("a request that cannot be is refused, and the network works on", [] {
  Network network = make_network(1, mlp, unrefined);
  NetworkCalls calls(network);
  const Image a(61, 37, 1);
  const FeatureId small = calls.encode(a.frame(), {2, 2}), large = calls.encode(a.frame(), {3, 2});
  std::vector<float> flow(2 * 10 * 10), features(7);
  const auto contains = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  const Request pair{.from = small, .to = large, .height = 10, .width = 10, .flow = flow};
  check::that(contains(error_of(network, pair), "different sizes"), "features of two sizes");
  const Request lone{.from = small, .height = 10, .width = 10, .flow = flow};
  check::that(contains(error_of(network, lone), "two frames"), "flow from one frame");
  check::that(contains(error_of(network, {.from = FeatureId{99}, .features = features}), "disposed"),
              "unknown features");
  check::that(contains(error_of(network, {.from = small, .features = features}), "length"),
              "features of another length");
  const Request again{.from = a.frame(), .grid = {2, 2}, .keep_from = small};
  check::that(contains(error_of(network, again), "in use"), "a name used twice");
  check::that(network.kept_feature_bytes() == sizeof(float) * mlp.dim * (4 + 6), "another count of bytes");
  network.release(large);
  network.release(large);
  calls.flow(small, a.frame(), {2, 2}, flow, 10, 10);
  check::that(network.kept_feature_bytes() == sizeof(float) * mlp.dim * 4, "bytes of a released map are counted");
});

const check::Register no_allocation("after the first frames of its sizes the engine allocates nothing", [] {
  Network network = make_network(3, swiglu, refined);
  NetworkCalls calls(network);
  const Image a(61, 37, 1), b(61, 37, 2);
  std::vector<float> flow(static_cast<std::size_t>(2) * 37 * 61);
  std::vector<std::uint8_t> picture(static_cast<std::size_t>(3) * 37 * 61);
  const auto frames = [&] {
    for (const Grid grid : {Grid{3, 4}, {5, 2}}) {
      calls.flow(a.frame(), b.frame(), grid, flow, 37, 61);
      const FeatureId features = calls.encode(b.frame(), grid);
      calls.flow(features, features, {}, flow, 37, 61);
      network.run({.from = features, .to = features, .height = 37, .width = 61, .picture = picture});
      network.release(calls.advance(features, a.frame(), grid, flow, 37, 61));
    }
  };
  allocations = 0;
  frames();
  check::that(allocations > 0, "allocations are not counted");
  frames();  // now the lists of feature maps have their final lengths
  allocations = 0;
  for (int i = 0; i < 5; i++) frames();
  check::that(allocations == 0, allocations.load(), " allocations in five rounds");
});

const check::Register formats("frames of every format, size and padding give the pixels that they hold", [] {
  std::mt19937 generator(5);
  for (const auto& [name, format] : made_formats()) {
    for (const auto [height, width] : {std::array{9, 23}, {8, 22}, {1, 1}, {2, 1}, {5, 2}}) {
      const MadeFrame made(width, height, format, [&] { return static_cast<std::uint8_t>(generator()); });
      std::vector<std::uint8_t> row(3 * static_cast<std::size_t>(width));
      for (int y = 0; y < height; y++) {
        cpu::read_rgb_row(made.frame(), y, row.data());
        for (int i = 0; i < 3 * width; i++) {
          const double expected = made.color(y, i / 3)[static_cast<std::size_t>(i % 3)];
          check::that(std::abs(row[static_cast<std::size_t>(i)] - expected) <= 0.51, name, ", ", width, " x ", height,
                      ", row ", y, ", value ", i, " is ", static_cast<int>(row[static_cast<std::size_t>(i)]), ", not ",
                      expected);
        }
      }
    }
  }
});

const check::Register copies("a copy of a frame equals it, whatever is in its padding, and no other frame", [] {
  std::mt19937 generator(6);
  const auto noise = [&] { return static_cast<std::uint8_t>(generator()); };
  for (const auto& [name, format] : made_formats()) {
    MadeFrame made(23, 9, format, noise);
    FrameCopy copy;
    check::that(!copy.equals(made.frame()), name, ": no copy");
    copy.assign(made.frame());
    check::that(copy.equals(made.frame()), name);
    std::vector<std::uint8_t> moved(bytes_of(made.frame()).size());
    copy_samples(made.frame(), moved.data());
    check::that(copy.equals(tight(made.frame(), moved.data())), name, ": without padding");
    for (int p = 0; p < format.plane_count(); p++) {
      const PlaneSize size = size_of_plane(made.frame(), p);
      const std::ptrdiff_t last = row_of(made.frame(), p, size.rows - 1) + size.row - 1 - made.bytes.data();
      made.bytes[static_cast<std::size_t>(last)] ^= 1;
      check::that(!copy.equals(made.frame()), name, ": plane ", p);
      made.bytes[static_cast<std::size_t>(last)] ^= 1;
    }
  }
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
