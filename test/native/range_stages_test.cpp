// Stages whose results are beyond the range of their operands, on every engine.

#include <cmath>
#include <limits>

#include "check.h"
#include "every_engine.h"
#include "reference.h"

using namespace flow;

namespace {

constexpr float largest = 65504;  // of float16

bool has_float16(const Bench& b) { return std::string_view(b.ops.precision()) == "fp16"; }

/// A stage, the weights that it reports with, and the value at `index` of its result.
struct Case {
  std::string name;
  std::function<void()> run;
  OperandMatrix out;
  std::size_t index;
  double value;
  Packed* weights = nullptr;  // null if it has no scale of its own
};

void run(Bench& b, const Case& c) { b.ops.sequence(nullptr, {}, c.run); }

/// Runs a stage whose result is out of the range of float16 at one place.
void check_case(Bench& b, const Case& c) {
  const auto close = [&](float actual, double expected) {
    check::that(std::abs(actual - expected) <= b.within(1e-5) * std::abs(expected), c.name, ": ", actual,
                " instead of ", expected);
  };
  run(b, c);
  check::that(b.ops.in_range() == !has_float16(b), c.name, has_float16(b) ? ": no report" : ": a report");
  const float value = b.read(c.out)[c.index];
  if (!has_float16(b)) return close(value, c.value);
  check::that(value == std::copysign(largest, c.value), c.name, " saturates at ", value);
  if (c.weights == nullptr) return;
  const double excess = b.ops.excess(*c.weights, 0), expected = std::abs(c.value) / largest;
  check::that(std::abs(excess - expected) < .01 * expected, c.name, ": excess ", excess, " instead of ", expected);

  b.ops.scale_out(*c.weights, 0, -8);
  run(b, c);
  check::that(b.ops.in_range(), c.name, ": out of range when scaled");
  check::that(b.ops.excess(*c.weights, 0) == 0, c.name, ": an excess when scaled");
  close(256 * b.read(c.out)[c.index], c.value);
}

/// An identity of `n` channels whose first one is multiplied by `factor`.
Values diagonal(int n, float factor) {
  Values weight(static_cast<std::size_t>(n) * n);
  for (int i = 0; i < n; i++) weight[static_cast<std::size_t>(i) * n + i] = i == 0 ? factor : 1;
  return weight;
}

const OnEveryEngine activations("results beyond float16 saturate and are reported: activations", [](Bench& b,
                                                                                                    Random& random) {
  const int rows = 70, n = 24, row = 67;
  const std::size_t index = std::size_t{row} * n;
  Values x = random.values(rows * n);
  x[index] = 30;  // by the norm below about sqrt(n)
  const Values ones(n, 1.F), zeros(n), factor = diagonal(n, 1e5F), identity = diagonal(n, 1);
  const NormWeights norm{ones, zeros, 1e-5F};
  const Residual in = b.residual(rows, n, x);
  const auto operands = b.matrix<Operand>(rows, n, x);
  const double normal = reference::layer_norm({rows, n, x}, ones, zeros, 1e-5).v[index];
  const auto out = b.matrix<Operand>(rows, n);

  const auto linear = b.ops.pack_norm_linear(norm, {n, n, factor});
  check_case(b, {"norm_gelu", [&] { b.ops.norm_gelu(in, *linear, out); }, out, index, 1e5 * normal, linear.get()});
  const auto gated = b.ops.pack_swiglu(norm, {n, n, identity}, {n, n, factor});
  const double gate = normal / (1 + std::exp(-normal));
  check_case(
      b, {"norm_swiglu", [&] { b.ops.norm_swiglu(in, *gated, out); }, out, index, 1e5 * normal * gate, gated.get()});
  if (has_float16(b)) {
    const Values half(n, .5F);
    const auto small = b.ops.pack_linear({n, n, identity, {}, half});
    const Residual sum = b.residual(rows, n, x);
    b.ops.scale_in(*small, -8);
    b.ops.linear_add(operands, *small, sum);
    const double scaled = x[index] + .5 * 256 * x[index];
    check::that(std::abs(b.read(sum.x)[index] / scaled - 1) < 1e-3, "a scale that linear_add does not undo");
  }
  const auto head = b.ops.pack_linear({n, n, factor});
  check_case(b, {"project_silu", [&] { b.ops.project_silu(in.x, *head, out); }, out, index, 3e6});
  const Values zero(1);
  const auto mean = b.ops.pack_squeeze_excite({{n, 1, ones, zero}, {1, n, ones, zeros}});
  const SqueezeExcite squeeze{mean.get(), b.matrix<Real>((n + squeeze_channels - 1) / squeeze_channels, 1)};
  check_case(b, {"pointwise_silu", [&] { b.ops.pointwise_silu(operands, *head, out, squeeze); }, out, index, 3e6});
  const double squeezed = b.read(squeeze.squeezed)[0];
  check::that(std::isfinite(squeezed), "the mean of saturated values is ", squeezed);
});

const OnEveryEngine head("results beyond float16 saturate and are reported: the head", [](Bench& b, Random& random) {
  const Grid grid{6, 11};
  const int n = 16, pixel = 41;
  Values x = random.values(grid.size() * n);
  x[pixel * n] = 3000;
  const auto in = b.matrix<Operand>(grid.size(), n, x);
  const auto out = b.matrix<Operand>(grid.size(), n);

  Values taps(std::size_t{9} * n);
  for (int c = 0; c < n; c++) taps[9 * c + 4] = -1000;
  const auto depthwise = b.ops.pack_depthwise(taps, n);
  check_case(b, {"depthwise", [&] { b.ops.depthwise(in, {}, {}, grid, *depthwise, out); }, out, pixel * n, -3e6});
  Values conv(std::size_t{9} * n * n);
  for (int c = 0; c < n; c++) conv[static_cast<std::size_t>(c) * n * 9 + c * 9 + 4] = 1000;
  const auto weights = b.ops.pack_conv3x3({n, n, conv});
  check_case(b, {"conv3x3_relu", [&] { b.ops.conv3x3_relu(in, grid, *weights, out); }, out, pixel * n, 3e6});

  const int radius = 1, cols = 3 * n + 9;
  const auto fused = b.matrix<Operand>(grid.size(), cols);
  const auto correlate = [&](const char* name, float from, float to, std::size_t column, double value) {
    Values p = random.values(grid.size() * n), q = p;
    for (Values* map : {&p, &q}) std::fill_n(map->begin() + pixel * n, n, 0.F);
    p[pixel * n] = from, q[pixel * n] = to;
    p[pixel * n + 1] = q[pixel * n + 1] = 40000;
    const auto a = b.matrix<Operand>(grid.size(), n, p), c = b.matrix<Operand>(grid.size(), n, q);
    check_case(b, {name, [&] { b.ops.correlation_concat(a, c, grid, radius, fused); }, fused,
                   std::size_t{pixel} * cols + column, value});
  };
  correlate("a difference", 40000, -40000, 2 * n, 80000);  // the cost is 0
  correlate("a cost", 20000, -200, 3 * n + 4, (1.6e9 - 4e6) / 4);
});

const OnEveryEngine queries(
    "q, k and v beyond float16 are reported each for itself, and have scales of their own",
    [](Bench& b, Random& random) {
      const Grid grid{3, 4};
      const int heads = 2, head_dim = 32, dim = heads * head_dim;
      const AttentionShape shape{5 + grid.size(), 5, heads, head_dim};
      const Values x = random.values(shape.tokens * dim), ones(dim, 1.F), zeros(dim);
      const Values cos(static_cast<std::size_t>(grid.size()) * head_dim / 2, 1.F), sin(cos.size());
      const NormWeights norm{ones, zeros, 1e-5F};
      const auto rope = b.ops.pack_rope(cos, sin, head_dim / 2);
      const Residual in = b.residual(shape.tokens, dim, x);
      const Values weight = random.values(std::size_t{3} * dim * dim, .3F);
      const auto attended = [&](PackedPtr& qkv) {
        const auto block = b.block(b.ops.qkv_elements(shape));
        const auto out = b.matrix<Operand>(shape.tokens, dim);
        b.ops.sequence(nullptr, {}, [&] {
          b.ops.norm_qkv_rope(in, *qkv, *rope, shape, block);
          b.ops.attention(block, shape, out);
        });
        return b.read(out);
      };
      const auto pack = [&](int part, float factor) {
        Values changed = weight;
        for (int i = 0; i < dim * dim; i++) changed[static_cast<std::size_t>(part) * dim * dim + i] *= factor;
        return b.ops.pack_qkv(norm, {dim, 3 * dim, changed}, heads);
      };
      for (int part = 0; part < 3; part++) {
        // With so large a q or k the softmax is the maximum, whatever their scale.
        auto large = pack(part, 0x1p12F), qkv = pack(part, 0x1p18F);
        const Values expected = attended(large);
        check::that(b.ops.in_range(), "part ", part, " is not in range");
        attended(qkv);
        check::that(b.ops.in_range() == !has_float16(b), "part ", part);
        if (!has_float16(b)) continue;
        for (int other = 0; other < 3; other++) {
          check::that((b.ops.excess(*qkv, other) > 1) == (other == part), "part ", part, ": excess of ", other);
        }
        b.ops.scale_out(*qkv, part, -8);
        if (part < 2) b.ops.scale_out(*qkv, 1 - part, 8);
        Values actual = attended(qkv);
        check::that(b.ops.in_range(), "part ", part, " when scaled");
        for (float& value : actual) value *= part == 2 ? 0x1p2F : 1;
        check::close(actual, {expected.begin(), expected.end()}, 1e-3, "part " + std::to_string(part));
      }
    });

/// Weights of 1 + 2^-9, which float16 has and bfloat16 has not: the sums that take the mean off must be rounded as they
/// are, or every row keeps a part of its mean.
const check::Register widened("norms of an engine that goes on in bfloat16 take the whole mean off", [] {
  need_cuda();
  if (kernels_capability() < 80) check::skip("this GPU has no bfloat16");
  Bench b(cuda::CudaEngine(0, Precision::fp16, true).open(), 0);
  const int rows = 9, n = 64;
  const Values ones(n, 1.F), zeros(n), weight(std::size_t{n} * n, 1 + 0x1p-9F);
  const auto linear = b.ops.pack_norm_linear({ones, zeros, 1e-5F}, {n, n, weight});
  check::that(b.ops.widen(), "stays in float16");
  Values x(std::size_t{rows} * n);
  for (std::size_t i = 0; i < x.size(); i++) x[i] = i % 2 == 0 ? 2 : 4;
  const auto out = b.matrix<Operand>(rows, n);
  const Residual in = b.residual(rows, n, x);
  b.ops.norm_gelu(in, *linear, out);
  for (const float y : b.read(out)) check::that(std::abs(y) < .01, "a part of the mean: ", y);
});

const OnEveryEngine not_finite("norms and flows that are infinite or NaN are reported", [](Bench& b, Random& random) {
  const Grid grid{3, 5};
  const int n = 16, up = 4;
  const auto reports = [&](const char* name, const std::function<void()>& stage) {
    b.ops.sequence(nullptr, {}, stage);
    check::that(!b.ops.in_range(), name, " is not reported");
  };
  const Values ones(n, 1.F), zeros(n);
  const auto norm = b.ops.pack_norm({ones, zeros, 1e-5F});
  const auto out = b.matrix<Real>(grid.size(), n);
  const auto flow = b.matrix<Real>(grid.size(), 2, random.values(grid.size() * 2));
  const auto upsampled = b.matrix<Real>(2 * grid.height * up, grid.width * up);
  const auto features = b.matrix<Operand>(grid.size(), n, random.values(grid.size() * n));
  const auto predict = b.ops.pack_flow({n, 2, Values(2 * n, 1.F), Values(2)});
  const Values mask_weight = random.values(std::size_t{9} * up * up * n), mask_bias(std::size_t{9} * up * up);
  const auto mask = b.ops.pack_mask({n, 9 * up * up, mask_weight, mask_bias}, up);
  b.ops.sequence(nullptr, {}, [&] {
    b.ops.layer_norm(b.matrix<Real>(grid.size(), n, random.values(grid.size() * n)), *norm, out);
    b.ops.predict_flow(features, *predict, {}, flow);
    b.ops.mask_upsample(features, flow, grid, *mask, upsampled);
  });
  check::that(b.ops.in_range(), "values in range are reported");

  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e20F}) {
    Values x = random.values(grid.size() * n);
    x[5 * n + 3] = bad;
    const auto in = b.matrix<Real>(grid.size(), n, x);
    reports("a norm", [&] { b.ops.layer_norm(in, *norm, out); });
    if (bad == 1e20F) continue;
    Values base = random.values(grid.size() * 2);
    base[9] = bad;
    const auto from = b.matrix<Real>(grid.size(), 2, base);
    reports("predict_flow", [&] { b.ops.predict_flow(features, *predict, from, flow); });
    reports("mask_upsample", [&] { b.ops.mask_upsample(features, from, grid, *mask, upsampled); });
  }
});

}  // namespace
