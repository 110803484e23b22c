// Compares every stage of `Ops` with loops in double precision, on every engine. Shapes are ragged: they end inside a
// tile, a vector or a block. Those of a frame are not: 40 x 40 pixels and 384 channels hardly end inside anything, and
// the loops would take minutes. seed_parity compares the benchmarks' model at their size.

#include <array>
#include <fstream>
#include <limits>

#include "check.h"
#include "engine/known_memory.h"
#include "every_engine.h"
#include "ops/color_wheel.h"
#include "reference.h"

using namespace flow;
using reference::Map;

namespace {

constexpr double bound = 2e-6;

/// Weights and the memory behind them.
struct Linear {
  Values weight, bias, gain;
  LinearWeights view;
  Linear(Random& random, int in, int out, int taps = 1)
      : weight(random.values(static_cast<std::size_t>(in) * out * taps, 1 / std::sqrt(static_cast<float>(in * taps)))),
        bias(random.values(out)),
        gain(random.values(out)),
        view{in, out, weight, bias, {}} {}
  LinearWeights scaled() const { return {view.in, view.out, weight, bias, gain}; }
};

const WithoutOperands copies("copy moves rows in every direction, with gaps and without", [](Bench& b, Random& random) {
  constexpr std::size_t rows = 7, row = 12, gap = 20, all = rows * gap;
  const auto known = [&] {
    const MemoryPtr memory = b.ops.allocate(all);
    make_known(memory);
    return memory;
  };
  const auto at = [](const MemoryPtr& memory) { return static_cast<std::byte*>(memory->data()); };
  const MemoryPtr first = known(), second = known();
  for (const std::size_t step : {row, gap}) {
    for (const std::size_t other : {row, gap}) {
      std::vector<std::byte> in(all), out(all, std::byte{7});
      for (std::byte& value : in) value = static_cast<std::byte>(random.values(1, 100)[0]);
      b.ops.copy({in.data(), at(first), rows, row, step, other});
      b.ops.copy({at(first), at(second), rows, row, other, step});
      b.ops.copy({at(second), out.data(), rows, row, step, other});
      for (std::size_t i = 0; i < all; i++) {
        const std::size_t y = i / other, x = i % other;
        const std::byte expected = y < rows && x < row ? in[y * step + x] : std::byte{7};
        check::that(out[i] == expected, "byte ", i, " of steps ", step, " and ", other);
      }
      b.ops.copy({out.data(), in.data(), 1, all, all, all});
      check::that(in == out, "from host to host");
    }
  }
});

/// What is beside the stream holds the stream, as it was written.
void check_operands(Bench& b, const Residual& residual) {
  if (!residual.operands) return;
  const Values x = b.read(residual.x);
  check::close(b.read(residual.operands), {x.begin(), x.end()}, b.within(0), "operands");
}

const OnEveryEngine linear_add("linear_add adds a scaled linear map to the residual", [](Bench& b, Random& random) {
  for (const auto [rows, in, out] :
       {std::array{1, 1, 1}, {5, 3, 2}, {161, 322, 81}, {97, 1537, 33}, {200, 64, 384}, {1605, 81, 2}, {849, 322, 5}}) {
    const Linear w(random, in, out);
    const Values x = random.values(rows * in), before = random.values(rows * out);
    const Residual residual = b.residual(rows, out, before);
    b.ops.linear_add(b.matrix<Operand>(rows, in, x), *b.ops.pack_linear(w.scaled()), residual);
    Map expected = reference::linear({rows, in, x}, w.scaled());
    for (std::size_t i = 0; i < expected.v.size(); i++) expected.v[i] += before[i];
    check::close(b.read(residual.x), expected.v, b.within(bound), std::to_string(rows) + " rows");
    check_operands(b, residual);
  }
});

const OnEveryEngine embed("embed puts the prefix tokens before the patches", [](Bench& b, Random& random) {
  for (const auto [patches, prefix, in, dim] : {std::array{43, 5, 192, 40}, {301, 1, 48, 328}}) {
    const Linear w(random, in, dim);
    const Values x = random.values(patches * in), tokens = random.values(prefix * dim);
    const Residual out = b.residual(prefix + patches, dim);
    b.ops.embed(b.matrix<Operand>(patches, in, x), *b.ops.pack_linear(w.view), *b.ops.pack_values(tokens), out);
    const Map embedded = reference::linear({patches, in, x}, w.view);
    reference::Doubles expected(tokens.begin(), tokens.end());
    expected.insert(expected.end(), embedded.v.begin(), embedded.v.end());
    check::close(b.read(out.x), expected, b.within(bound), std::to_string(prefix) + " prefix tokens");
    check_operands(b, out);

    const Linear head(random, dim, 48);
    const Values gamma = random.values(dim), beta = random.values(dim);
    const auto normed = b.matrix<Operand>(prefix + patches, 48);
    b.ops.norm_gelu(out, *b.ops.pack_norm_linear({gamma, beta, 1e-5F}, head.view), normed);
    const Map exact = reference::layer_norm({prefix + patches, dim, b.read(out.x)}, gamma, beta, 1e-5);
    check::close(b.read(normed), reference::apply(reference::linear(exact, head.view), reference::gelu).v,
                 b.within(bound), "the norm of what embed wrote");
  }
});

/// norm_gelu and norm_swiglu against the reference.
void check_products(Bench& b, Random& random, const Values& x, int rows, int dim, int hidden) {
  const Values gamma = random.values(dim), beta = random.values(dim);
  const NormWeights norm{gamma, beta, 1e-5F};
  const Linear w1(random, dim, hidden), w2(random, dim, hidden);
  const Residual in = b.residual(rows, dim, x);
  const Map normed = reference::layer_norm({rows, dim, x}, gamma, beta, 1e-5);

  const auto mlp = b.matrix<Operand>(rows, hidden), gated = b.matrix<Operand>(rows, hidden);
  const auto gelu = b.ops.pack_norm_linear(norm, w1.view), swiglu = b.ops.pack_swiglu(norm, w1.view, w2.view);
  const auto run = [&] {
    b.ops.sequence(nullptr, {}, [&] {
      b.ops.norm_gelu(in, *gelu, mlp);
      b.ops.norm_swiglu(in, *swiglu, gated);
    });
  };
  run();
  if (!b.ops.in_range()) {
    check::that(b.ops.norm_apart(*gelu) && b.ops.norm_apart(*swiglu), "a norm cannot be apart");
    run();
    check::that(b.ops.in_range(), "out of range, with a norm that is apart");
    check::that(!b.ops.norm_apart(*gelu), "a norm comes apart twice");
  }

  const Map first = reference::linear(normed, w1.view), second = reference::linear(normed, w2.view);
  check::close(b.read(mlp), reference::apply(first, reference::gelu).v, b.within(1e-5), "norm_gelu");
  Map expected = reference::apply(first, reference::silu);
  for (std::size_t i = 0; i < expected.v.size(); i++) expected.v[i] *= second.v[i];
  check::close(b.read(gated), expected.v, b.within(1e-5), "norm_swiglu");
}

/// Shapes that end inside tiles, and inside the groups of columns whose moments are computed at once.
constexpr auto norm_shapes = {std::array{7, 20, 11}, {101, 96, 256}, {33, 385, 129}, {150, 130, 33}, {300, 24, 104}};

const OnEveryEngine products("norm_gelu and norm_swiglu normalise every row", [](Bench& b, Random& random) {
  for (const auto [rows, dim, hidden] : norm_shapes) {
    Values x = random.values(rows * dim, 3);
    for (float& value : x) value += 2;
    check_products(b, random, x, rows, dim, hidden);
  }
});

const OnEveryEngine far_rows("norms of rows whose mean is large, or beyond float16, are as exact as others",
                             [](Bench& b, Random& random) {
                               for (const auto [rows, dim, hidden] : norm_shapes) {
                                 Values x = random.values(rows * dim, 3);
                                 for (float& value : x) value += 50;
                                 check_products(b, random, x, rows, dim, hidden);
                                 for (float& value : x) value = (value - 50) * 1e5F;
                                 check_products(b, random, x, rows, dim, hidden);
                                 x[static_cast<std::size_t>(rows) * dim - 1] = 1e7F;
                                 check_products(b, random, x, rows, dim, hidden);
                               }
                             });

// A pair and its single frames may get different tiles.
const check::Register same_bits(
    "what is added to a residual, and its norm, have the same bits in every tile [cuda f16]", [] {
      need_cuda();
      Values expected;
      for (const TestedEngine& engine : engines()) {
        if (!engine.name.starts_with("cuda f16")) continue;
        Bench b = engine.make();
        Random random(7);
        const int rows = 150, dim = 385, hidden = 129;
        const Residual residual = b.residual(rows, dim, random.values(rows * dim, 3));
        const Linear w(random, hidden, dim), w1(random, dim, hidden), w2(random, dim, hidden);
        b.ops.linear_add(b.matrix<Operand>(rows, hidden, random.values(rows * hidden)), *b.ops.pack_linear(w.view),
                         residual);
        const Values gamma = random.values(dim), beta = random.values(dim);
        const auto gated = b.matrix<Operand>(rows, hidden);
        b.ops.norm_swiglu(residual, *b.ops.pack_swiglu({gamma, beta, 1e-5F}, w1.view, w2.view), gated);

        Values actual = b.read(residual.x);
        for (const Values& values : {b.read(residual.moments), b.read(gated)}) {
          actual.insert(actual.end(), values.begin(), values.end());
        }
        if (expected.empty()) expected = actual;
        check::that(actual == expected, engine.name, " has other bits");
      }
    });

const OnEveryEngine norms("layer_norm normalises every row", [](Bench& b, Random& random) {
  for (const auto [rows, dim, hidden] : norm_shapes) {
    Values x = random.values(rows * dim, 3);
    for (float& value : x) value += 50;  // a mean so large that a variance in one pass would fail
    const Values gamma = random.values(dim), beta = random.values(dim);
    const auto in = b.matrix<Real>(rows, dim, x);
    const auto norm = b.ops.pack_norm({gamma, beta, 1e-5F});
    const Map normed = reference::layer_norm({rows, dim, x}, gamma, beta, 1e-5);

    const auto plain = b.matrix<Real>(rows, dim);
    b.ops.layer_norm(in, *norm, plain);
    check::close(b.read(plain), normed.v, b.within(1e-5), "layer_norm");
  }
});

const OnEveryEngine attention("norm_qkv_rope and attention agree with softmax(q k^T / sqrt(d)) v", [](Bench& b,
                                                                                                      Random& random) {
  // Models have a head_dim of 32, 64 or 128; the others end inside a vector. 511 keys are more than one split.
  for (const auto [head_dim, heads, grid_h, grid_w] : {std::array{32, 2, 7, 10},
                                                       {64, 3, 9, 11},
                                                       {128, 1, 5, 6},
                                                       {4, 3, 2, 2},
                                                       {8, 2, 3, 4},
                                                       {24, 2, 3, 5},
                                                       {40, 2, 6, 7},
                                                       {32, 1, 22, 23},
                                                       {64, 1, 28, 27},
                                                       {128, 1, 22, 23}}) {
    const Grid grid{grid_h, grid_w};
    const AttentionShape shape{5 + grid.size(), 5, heads, head_dim};
    const int dim = heads * head_dim, half = head_dim / 2;
    const Values x = random.values(shape.tokens * dim, 2), gamma = random.values(dim, 2), beta = random.values(dim, 2);
    Linear w(random, dim, 3 * dim);
    for (float& v : w.weight) v *= 3;  // peaked softmax rows, not flat ones
    const Values angles = random.values(grid.size() * half, 3);
    Values cos, sin;
    for (const float a : angles) cos.push_back(std::cos(a)), sin.push_back(std::sin(a));

    const auto qkv = b.block(b.ops.qkv_elements(shape));
    const auto out = b.matrix<Operand>(shape.tokens, dim);
    b.ops.norm_qkv_rope(b.residual(shape.tokens, dim, x), *b.ops.pack_qkv({gamma, beta, 1e-5F}, w.view, heads),
                        *b.ops.pack_rope(cos, sin, half), shape, qkv);
    b.ops.attention(qkv, shape, out);

    const Map all = reference::linear(reference::layer_norm({shape.tokens, dim, x}, gamma, beta, 1e-5), w.view);
    std::vector<Map> parts(3, Map(shape.tokens, dim));
    for (int t = 0; t < shape.tokens; t++) {
      for (int c = 0; c < 3 * dim; c++) parts[c / dim].at(t, c % dim) = all.at(t, c);
    }
    reference::rotate(parts[0], shape, cos, sin);
    reference::rotate(parts[1], shape, cos, sin);
    check::close(b.read(out), reference::attention(parts[0], parts[1], parts[2], shape).v, b.within(1e-5),
                 "head_dim " + std::to_string(head_dim));
  }
});

const OnEveryEngine pointwise("project_silu and pointwise_silu are silu(W x + b)", [](Bench& b, Random& random) {
  const int rows = 131, in = 322, out = 70;
  const Linear w(random, in, out);
  const Values x = random.values(rows * in);
  const auto packed = b.ops.pack_linear(w.view);
  const Map expected = reference::apply(reference::linear({rows, in, x}, w.view), reference::silu);

  const auto projected = b.matrix<Operand>(rows, out);
  b.ops.project_silu(b.matrix<Real>(rows, in, x), *packed, projected);
  check::close(b.read(projected), expected.v, b.within(bound), "project_silu");

  const auto y = b.matrix<Operand>(rows, out);
  b.ops.pointwise_silu(b.matrix<Operand>(rows, in, x), *packed, y, {});
  check::close(b.read(y), expected.v, b.within(bound), "pointwise_silu");
});

const OnEveryEngine squeeze("pointwise_silu squeezes the means of its columns, 64 of them a row", [](Bench& b,
                                                                                                     Random& random) {
  for (const auto [rows, out, reduced] : {std::array{131, 70, 5}, {1100, 200, 43}, {3, 320, 40}}) {
    const int in = 40, slices = (out + squeeze_channels - 1) / squeeze_channels;
    const Linear w(random, in, out), fc1(random, out, reduced), fc2(random, reduced, out);
    const Values x = random.values(rows * in);
    const auto packed = b.ops.pack_linear(w.view);
    const auto excitation = b.ops.pack_squeeze_excite({fc1.view, fc2.view});
    const auto y = b.matrix<Operand>(rows, out);
    const auto squeezed = b.matrix<Real>(slices, reduced);
    // The second call must not use what the first left in its memory.
    for (const Values& values : {random.values(rows * in), x}) {
      b.ops.pointwise_silu(b.matrix<Operand>(rows, in, values), *packed, y, {excitation.get(), squeezed});
    }
    const Map all = reference::apply(reference::linear({rows, in, x}, w.view), reference::silu);
    check::close(b.read(y), all.v, b.within(bound), "pointwise_silu");
    Map expected(slices, reduced);
    for (int c = 0; c < out; c++) {
      double mean = 0;
      for (int r = 0; r < rows; r++) mean += all.at(r, c) / rows;
      for (int i = 0; i < reduced; i++) expected.at(c / squeeze_channels, i) += fc1.view.weight[i * out + c] * mean;
    }
    check::close(b.read(squeezed), expected.v, b.within(bound), "squeezed, of " + std::to_string(out) + " channels");
  }
});

const OnEveryEngine correlation("correlation_concat is the cost volume beside its features", [](Bench& b,
                                                                                                Random& random) {
  for (const auto [h, w, channels, radius] : {std::array{7, 10, 32, 4}, {3, 2, 19, 4}, {9, 5, 24, 3}, {1, 1, 8, 1}}) {
    const Grid grid{h, w};
    const Values f1 = random.values(grid.size() * channels), f2 = random.values(grid.size() * channels);
    const int window = (2 * radius + 1) * (2 * radius + 1);
    const auto out = b.matrix<Operand>(grid.size(), 3 * channels + window);
    b.ops.correlation_concat(b.matrix<Operand>(grid.size(), channels, f1), b.matrix<Operand>(grid.size(), channels, f2),
                             grid, radius, out);
    const Map expected =
        reference::correlation_concat({grid.size(), channels, f1}, {grid.size(), channels, f2}, grid, radius);
    check::close(b.read(out), expected.v, b.within(bound), "radius " + std::to_string(radius));
  }
});

const OnEveryEngine depthwise("depthwise convolves [in * s, extra] with zeros outside", [](Bench& b, Random& random) {
  for (const auto [h, w, cols, reduced] : {std::array{5, 7, 49, 5}, {11, 18, 130, 43}, {8, 8, 63, 40}, {1, 1, 8, 1}}) {
    const Grid grid{h, w};
    const int n = grid.size(), few = 2, slices = (cols + squeeze_channels - 1) / squeeze_channels;
    const std::string shape = ", of " + std::to_string(cols) + " channels";
    const Values x = random.values(n * cols), extra = random.values(n * few), taps = random.values((cols + few) * 9);
    const auto in = b.matrix<Operand>(n, cols, x);

    Map plain(n, cols, x);
    const auto out = b.matrix<Operand>(n, cols);
    const Values own_taps(taps.begin(), taps.begin() + cols * 9);
    b.ops.depthwise(in, {}, {}, grid, *b.ops.pack_depthwise(own_taps, cols), out);
    check::close(b.read(out), reference::depthwise(plain, grid, own_taps).v, b.within(bound), "plain" + shape);

    const Linear fc1(random, cols, reduced), fc2(random, reduced, cols);
    const Values squeezed = random.values(slices * reduced);
    const auto excitation = b.ops.pack_squeeze_excite({fc1.view, fc2.view});
    Map hidden(1, reduced, Values(fc1.view.bias.begin(), fc1.view.bias.end()));
    for (int i = 0; i < slices * reduced; i++) hidden.at(0, i % reduced) += squeezed[i];
    const Map scale =
        reference::apply(reference::linear(reference::apply(hidden, reference::silu), fc2.view), reference::sigmoid);
    Map joined(n, cols + few);
    for (int r = 0; r < n; r++) {
      for (int c = 0; c < cols; c++) joined.at(r, c) = plain.at(r, c) * scale.at(0, c);
      for (int c = 0; c < few; c++) joined.at(r, cols + c) = extra[r * few + c];
    }
    const auto wide = b.matrix<Operand>(n, cols + few);
    b.ops.depthwise(in, {excitation.get(), b.matrix<Real>(slices, reduced, squeezed)}, b.matrix<Real>(n, few, extra),
                    grid, *b.ops.pack_depthwise(taps, cols + few), wide);
    check::close(b.read(wide), reference::depthwise(joined, grid, taps).v, b.within(bound),
                 "excited, with flow" + shape);
  }
});

const OnEveryEngine predict("predict_flow adds W x + b to a base, in place too", [](Bench& b, Random& random) {
  const int n = 77, in = 48;
  const Linear w(random, in, 2);
  const Values x = random.values(n * in), base = random.values(n * 2);
  const auto packed = b.ops.pack_flow(w.view);
  const auto operand = b.matrix<Operand>(n, in, x);
  Map expected = reference::linear({n, in, x}, w.view);
  const auto coarse = b.matrix<Real>(n, 2);
  b.ops.predict_flow(operand, *packed, {}, coarse);
  check::close(b.read(coarse), expected.v, b.within(bound), "coarse");
  const auto flow = b.matrix<Real>(n, 2, base);
  b.ops.predict_flow(operand, *packed, flow, flow);
  for (std::size_t i = 0; i < base.size(); i++) expected.v[i] += base[i];
  check::close(b.read(flow), expected.v, b.within(bound), "refined");
});

const OnEveryEngine convolution("conv3x3_relu is a 3x3 convolution with zeros outside", [](Bench& b, Random& random) {
  for (const auto [h, w, in, out] : {std::array{5, 7, 48, 40}, {11, 13, 21, 33}, {1, 2, 3, 1}}) {
    const Grid grid{h, w};
    const Linear weights(random, in, out, 9);
    const Values x = random.values(grid.size() * in);
    const auto y = b.matrix<Operand>(grid.size(), out);
    b.ops.conv3x3_relu(b.matrix<Operand>(grid.size(), in, x), grid, *b.ops.pack_conv3x3(weights.view), y);
    const Map expected = reference::apply(reference::conv3x3({grid.size(), in, x}, grid, weights.view),
                                          [](double v) { return std::max(v, 0.0); });
    check::close(b.read(y), expected.v, b.within(bound), "conv3x3");
  }
});

const OnEveryEngine upsample("mask_upsample is a convex combination of neighbours", [](Bench& b, Random& random) {
  for (const auto [h, w, up] : {std::array{5, 7, 16}, {6, 4, 8}, {3, 3, 14}, {2, 5, 2}}) {
    const Grid grid{h, w};
    const int in = 37;
    const Linear weights(random, in, 9 * up * up);
    const Values x = random.values(grid.size() * in, 4), flow = random.values(grid.size() * 2, 10);
    const auto out = b.matrix<Real>(2 * h * up, w * up);
    b.ops.mask_upsample(b.matrix<Operand>(grid.size(), in, x), b.matrix<Real>(grid.size(), 2, flow), grid,
                        *b.ops.pack_mask(weights.view, up), out);
    const Map logits = reference::linear({grid.size(), in, x}, weights.view);
    check::close(b.read(out), reference::mask_upsample(logits, {grid.size(), 2, flow}, grid, up).v, b.within(bound),
                 "up " + std::to_string(up));
  }
});

const OnEveryEngine resize("resize_flow scales positions and values", [](Bench& b, Random& random) {
  const int h = 12, w = 20;
  const Values flow = random.values(2 * h * w, 9);
  const auto in = b.matrix<Real>(2 * h, w, flow);
  for (const auto [to_h, to_w] : {std::array{15, 27}, {7, 9}, {1, 1}, {48, 80}}) {
    const auto out = b.matrix<Real>(2 * to_h, to_w);
    b.ops.resize_flow(in, out);
    check::close(b.read(out), reference::resize_flow({2 * h, w, flow}, to_h, to_w).v, b.within(1e-5),
                 std::to_string(to_h));
  }
});

const OnEveryEngine similarity("match_similarity is the mean of the windows' best cosines", [](Bench& b,
                                                                                               Random& random) {
  for (const auto [h, w, channels, radius] : {std::array{7, 10, 32, 4}, {3, 2, 19, 4}, {17, 19, 24, 1}, {1, 1, 8, 1}}) {
    const Grid grid{h, w};
    Values f1 = random.values(grid.size() * channels);
    const Values f2 = random.values(grid.size() * channels);
    if (h > 1) std::fill_n(f1.begin(), channels, 0.F);  // no direction: cosine 0
    const int window = (2 * radius + 1) * (2 * radius + 1);
    const auto fused = b.matrix<Operand>(grid.size(), 3 * channels + window);
    b.ops.correlation_concat(b.matrix<Operand>(grid.size(), channels, f1), b.matrix<Operand>(grid.size(), channels, f2),
                             grid, radius, fused);
    const auto score = b.matrix<Real>(1, 1);
    b.ops.match_similarity(fused, grid, channels, radius, score);
    const double expected =
        reference::match_similarity({grid.size(), channels, f1}, {grid.size(), channels, f2}, grid, radius);
    check::that(std::abs(b.read(score)[0] - expected) < b.within(1e-5), "radius ", radius, ": ", b.read(score)[0],
                " instead of ", expected);
  }
});

const OnEveryEngine everywhere(
    "match_global finds cells wherever they went, and says nothing where that is not certain",
    [](Bench& b, Random& random) {
      for (const auto [h, w, channels] : {std::array{9, 13, 32}, {17, 19, 40}, {1, 1, 8}, {1, 30, 16}, {12, 3, 8}}) {
        const Grid grid{h, w};
        const int n = grid.size();
        // Most of the map moves far, and a part of it the other way; the rest is noise of its own.
        const Values f1 = random.values(n * channels), noise = random.values(n * channels);
        Values f2 = noise;
        for (int cell = 0; cell < n; cell++) {
          const int y = cell / w, x = cell % w, sign = x < w / 3 ? -1 : 1;
          const int to_y = y + sign * (h / 3), to_x = x + (sign < 0 ? 2 * w / 3 : -w / 3);
          if (to_y < 0 || to_y >= h || to_x < 0 || to_x >= w) continue;
          for (int c = 0; c < channels; c++) {
            f2[static_cast<std::size_t>((to_y * w + to_x) * channels + c)] =
                f1[static_cast<std::size_t>(cell * channels + c)] +
                .1F * noise[static_cast<std::size_t>(cell * channels + c)];
          }
        }
        if (h == 9) {  // no direction
          const Values zeros(static_cast<std::size_t>(3 * channels));
          std::ranges::copy(zeros, f2.begin());
        }
        const MatchOptions options;
        const auto flow = b.matrix<Real>(2 * h, w);
        b.ops.match_global(b.matrix<Operand>(n, channels, f1), b.matrix<Operand>(n, channels, f2), grid, options, flow);
        const Values actual = b.read(flow);
        const auto expected = reference::match_global({n, channels, f1}, {n, channels, f2}, grid, options);
        int kept = 0;
        for (int i = 0; i < n; i++) {
          if (std::isfinite(expected.flow[i])) kept++;
          if (expected.margin[i] < b.within(1e-5)) continue;
          for (const int at : {i, n + i}) {
            check::that(std::isnan(expected.flow[at]) ? std::isnan(actual[at]) : actual[at] == expected.flow[at], h,
                        " x ", w, ", value ", at, ": ", actual[at], " instead of ", expected.flow[at]);
          }
        }
        if (h > 8 && w > 8) check::that(kept > n / 4, "only ", kept, " matches count");
      }
    });

const OnEveryEngine itself(
    "match_global finds every cell of a map in the map itself, if that has cells that are not near",
    [](Bench& b, Random& random) {
      for (const auto [h, w] : {std::array{9, 13}, {8, 8}, {5, 31}, {2, 2}, {3, 3}}) {
        const int n = h * w, channels = 40;
        const auto map = b.matrix<Operand>(n, channels, random.values(n * channels));
        const auto flow = b.matrix<Real>(2 * h, w);
        b.ops.match_global(map, map, {h, w}, {}, flow);
        const bool all_near = h <= 3;  // then no match leads
        for (const float x : b.read(flow)) check::that(all_near ? std::isnan(x) : x == 0, h, " x ", w, ": ", x);
      }
    });

const OnEveryEngine first_of_equals("match_global takes the first of equal cells", [](Bench& b, Random& random) {
  // Small integers and a power of two of cells: means and sums are exact, so cells that repeat are equal bit by bit.
  // The descriptors of cells 63 to 65 are one, on both sides of the end of a tile.
  const Grid grid{1, 128};
  const int channels = 24, first = 63;
  Values f(static_cast<std::size_t>(grid.width * channels));
  std::ranges::transform(random.values(f.size(), 8), f.begin(), [](float x) { return std::round(x); });
  for (const int cell : {65, 66}) std::copy_n(&f[(cell - 3) * channels], channels, &f[cell * channels]);
  const auto flow = b.matrix<Real>(2, grid.width);
  const auto map = b.matrix<Operand>(grid.width, channels, f);
  b.ops.match_global(map, map, grid, {.lead = .03F, .agree = 0}, flow);
  const Values actual = b.read(flow);
  for (int x = 0; x < grid.width; x++) {
    // All three find the first one. That finds itself, which is beside the second of them, but not the third.
    const bool unknown = x == first + 2;
    const float expected = x == first + 1 ? -1 : 0;
    check::that(unknown ? std::isnan(actual[x]) : actual[x] == expected, "cell ", x, ": ", actual[x]);
    check::that(unknown ? std::isnan(actual[grid.width + x]) : actual[grid.width + x] == 0, "cell ", x, " moves down");
  }
});

const OnEveryEngine no_features("match_global matches no cells of features that are not finite", [](Bench& b,
                                                                                                    Random& random) {
  for (const auto [h, w] : {std::array{4, 4}, {9, 11}}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const int n = h * w, channels = 16;
      const Values good = random.values(n * channels);
      Values broken = good;
      broken[channels + 3] = bad;
      const auto flow = b.matrix<Real>(2 * h, w);
      const auto a = b.matrix<Operand>(n, channels, good), other = b.matrix<Operand>(n, channels, broken);
      for (const auto& [from, to] : {std::pair{a, other}, {other, a}, {other, other}}) {
        b.ops.match_global(from, to, {h, w}, {}, flow);
        for (const float x : b.read(flow)) check::that(std::isnan(x), h, " x ", w, ": ", x, " instead of NaN");
      }
    }
  }
});

const OnEveryEngine trips("round_trip finds the pixels that do not come back", [](Bench& b, Random& random) {
  for (const auto [h, w] : {std::array{13, 37}, {1, 1}, {1, 40}, {40, 1}}) {
    Values forward = random.values(2 * h * w, 3), backward(forward.size());
    for (std::size_t i = 0; i < forward.size(); i++) backward[i] = -forward[i] + (i % 3 == 0 ? 1.5F : .1F);
    if (h == 13) {
      forward[5] = std::numeric_limits<float>::quiet_NaN();
      forward[6] = std::numeric_limits<float>::infinity();
      backward[40] = std::numeric_limits<float>::quiet_NaN();
      forward[7] = -7.5F, forward[h * w + 7] = 0;  // just inside
    }
    const auto from = b.matrix<Real>(2 * h, w, forward), back = b.matrix<Real>(2 * h, w, backward);
    const auto confidence = b.matrix<Real>(h, w);
    std::vector<std::uint8_t> occlusion(static_cast<std::size_t>(h) * w, 77), alone(occlusion);
    b.ops.round_trip(from, back, b.ops.output(occlusion, 0, h, w), confidence);
    b.ops.round_trip(from, back, b.ops.output(alone, 1, h, w), {});
    b.ops.finish();
    const auto expected = reference::round_trip(forward, backward, h, w);
    const Values actual = b.read(confidence);
    for (std::size_t i = 0; i < occlusion.size(); i++) {
      const bool near = std::abs(expected.ratio[i] - 1) < 1e-3;
      check::that(near || occlusion[i] == (expected.ratio[i] > 1 ? 1 : 0), "occlusion of pixel ", i);
      check::that(std::abs(actual[i] - expected.confidence[i]) < 1e-4, "confidence of pixel ", i, ": ", actual[i]);
    }
    check::that(alone == occlusion, "occlusion alone is another");
  }
});

const OnEveryEngine two_images(
    "norm_qkv_rope and attention give two images the bits that each gets alone", [](Bench& b, Random& random) {
      for (const auto [head_dim, heads, grid_h, grid_w] : {std::array{32, 2, 7, 10}, {64, 3, 9, 11}, {24, 2, 22, 23}}) {
        const Grid grid{grid_h, grid_w};
        const AttentionShape one{5 + grid.size(), 5, heads, head_dim}, two{one.tokens, 5, heads, head_dim, 2};
        const int dim = heads * head_dim, half = head_dim / 2;
        const Values x = random.values(two.rows() * dim, 2), gamma = random.values(dim, 2),
                     beta = random.values(dim, 2);
        const Linear w(random, dim, 3 * dim);
        const Values cos = random.values(grid.size() * half, 1), sin = random.values(grid.size() * half, 1);
        const auto weights = b.ops.pack_qkv({gamma, beta, 1e-5F}, w.view, heads),
                   rope = b.ops.pack_rope(cos, sin, half);
        const auto attend = [&](const Residual& rows, AttentionShape shape) {
          const auto qkv = b.block(b.ops.qkv_elements(shape));
          const auto out = b.matrix<Operand>(shape.rows(), dim);
          b.ops.norm_qkv_rope(rows, *weights, *rope, shape, qkv);
          b.ops.attention(qkv, shape, out);
          return b.read(out);
        };
        const Residual all = b.residual(two.rows(), dim, x);
        const Values both = attend(all, two);
        Values each = attend(rows_of(all, 0, one.tokens, b.ops.operand_bytes()), one);
        const Values second = attend(rows_of(all, one.tokens, one.tokens, b.ops.operand_bytes()), one);
        each.insert(each.end(), second.begin(), second.end());
        check::that(both == each, "head_dim ", head_dim);
      }
    });

/// The colour wheel of lib/viz, from a file that test/viz compares with it.
const reference::Wheel& wheel() {
  static const auto colors = [] {
    reference::Wheel all;
    std::ifstream file(FLOW_FIXTURES "/viz/color_wheel.txt");
    for (std::array<int, 3> color{}; file >> color[0] >> color[1] >> color[2];) all.push_back(color);
    return all;
  }();
  return colors;
}

const check::Register one_wheel("the colour wheel is that of lib/viz", [] {
  check::that(wheel().size() == color_wheel.size(), wheel().size(), " colours");
  for (std::size_t i = 0; i < color_wheel.size(); i++) {
    for (std::size_t c = 0; c < 3; c++) check::that(color_wheel[i][c] == wheel()[i][c], "colour ", i);
  }
});

/// Draws a planar flow and compares every byte with the exact value, rounded down. Before that, 0.01 may be added to
/// the exact value or taken from it.
void check_picture(Bench& b, int h, int w, const Values& flow, const FlowColors& colors, const char* what) {
  const auto in = b.matrix<Real>(2 * h, w, flow);
  std::vector<std::uint8_t> picture(static_cast<std::size_t>(3) * h * w, 77);
  b.ops.color_flow(in, colors, b.ops.output(picture, 0, h, 3 * w));
  b.ops.finish();
  const reference::Doubles expected = reference::color_flow({2 * h, w, flow}, colors, wheel());
  constexpr double slack = 0.01;
  for (std::size_t i = 0; i < picture.size(); i++) {
    check::that(picture[i] <= expected[i] + slack && picture[i] > expected[i] - 1 - slack, what, " of ", w, " x ", h,
                ": byte ", i, " is ", int{picture[i]}, ", not ", expected[i]);
  }
}

constexpr double boundless = std::numeric_limits<double>::infinity();
struct NamedColors {
  const char* name;
  FlowColors colors;
};
constexpr NamedColors kinds_of_colors[] = {{"the longest", {}},
                                           {"a scale", {.scale = 7.3}},
                                           {"a clip", {.clip_max = 4.1}},
                                           {"a least", {.clip_min = 3.7}},
                                           {"all", {.scale = 5, .clip_max = 6.3, .clip_min = 1}},
                                           {"an infinite scale", {.scale = boundless}},
                                           {"an infinite least", {.clip_min = boundless}}};

const OnEveryEngine colored("color_flow draws with every option, at every size", [](Bench& b, Random& random) {
  // 300 rows are more than the blocks that search for the longest motion.
  for (const auto [h, w] : {std::array{1, 1}, {37, 53}, {1, 7}, {5, 1}, {300, 3}, {2, 1030}}) {
    const Values flow = random.values(static_cast<std::size_t>(2) * h * w, 9);
    for (const auto& [name, colors] : kinds_of_colors) check_picture(b, h, w, flow, colors, name);
  }
});

const OnEveryEngine special(
    "color_flow draws what is unknown, still, on an axis or at a limit", [](Bench& b, Random& /*random*/) {
      const float nan = NAN, inf = INFINITY, tiny = std::numeric_limits<float>::denorm_min();
      const Values x{nan, inf, -inf, 1, nan, 0, -0.F, 3, 3, -3, -3, 0, 0, 3, 4.1F, 4, -7.3F, 1e-20F, tiny, 2},
          y{1, 1, 2, -inf, nan, 0, -0.F, 0, -0.F, 0, -0.F, 2, -2, 4, -4.1F, 3, 0, 1e-20F, -tiny, -1e-30F};
      const auto planar = [](Values first, const Values& second) {
        first.insert(first.end(), second.begin(), second.end());
        return first;
      };
      const int count = static_cast<int>(x.size());
      for (const auto& [name, colors] : kinds_of_colors) {
        check_picture(b, 4, count / 4, planar(x, y), colors, name);
        check_picture(b, 1, count, planar(x, y), colors, name);
        check_picture(b, 1, 5, planar({x.begin(), x.begin() + 5}, {y.begin(), y.begin() + 5}), colors, "nothing known");
        check_picture(b, 3, 5, Values(30), colors, "nothing moving");
      }
      // (3, 4) is exactly 5 long, as is the shortest motion that is drawn.
      check_picture(b, 1, 2, {3, 3, 4, 3.99F}, {.clip_min = 5}, "a least that is met");
    });

const OnEveryEngine long_motion("color_flow darkens no motion that rounding made too long", [](Bench& b,
                                                                                               Random& random) {
  // The unit of the radius is 1e-5 px longer than the longest motion. Above about 100 px, float32 cannot tell them
  // apart.
  for (const float length : {8.F, 133.7F, 325.3F, 4000.F}) {
    const int n = 67;
    Values flow(2 * n);
    for (int i = 0; i < n; i++) {
      flow[i] = length * std::cos(static_cast<float>(i));
      flow[n + i] = length * std::sin(static_cast<float>(i));
    }
    check_picture(b, 1, n, flow, {}, "the longest");
    check_picture(b, 1, n, flow, {.clip_max = length}, "a clip at the longest");
    check_picture(b, 1, n, flow, {.scale = 0.999 * length}, "a scale that all are beyond");
    // A clip that float32 rounds. Clamped motions are as long as the clip or, by their other component, a little
    // longer.
    const double clip = 0.77 * static_cast<double>(length);
    Values steep = random.values(2 * n, 2 * length);
    for (int i = 0; i < n; i++) {
      if (i % 2 == 0) steep[n + i] = static_cast<float>(std::sqrt(2e-5 * clip)) * static_cast<float>(i) / n * 2;
    }
    check_picture(b, 1, n, steep, {.clip_max = clip}, "a clip");
  }
});

#ifdef FLOW_EMULATOR
const check::Register emulator("the emulated GPU is there", [] { check::that(!cuda::devices().empty(), "no device"); });
#endif

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
