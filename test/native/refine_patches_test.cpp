// Compares the refinement's stages of patches with loops in double precision, on every engine. A search ends after
// comparisons of costs that may be equal up to rounding; so of its results all but a few must agree.

#include <array>
#include <limits>
#include <sstream>

#include "bench_image.h"
#include "check.h"
#include "every_engine.h"
#include "reference_patches.h"

using namespace flow;
using reference::Hypothesis;
using reference::Map;
using reference::Picture;

namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();

struct Size {
  int height, width, stride;
  PatchGrid grid() const { return {height, width, stride}; }
};
constexpr Size sizes[] = {{8, 8, 4}, {9, 13, 4}, {61, 47, 5}, {61, 47, 4}, {120, 160, 5}};

/// A texture that shows at (x, y) the point (x + u, y + v), with a little noise. The left third has none of both: its
/// patches must not move.
Picture draw(Random& random, Size size, float u, float v, float gain = 1) {
  Picture picture{size.height, size.width, random.values(static_cast<std::size_t>(3) * size.height * size.width)};
  for (int i = 0, c = 0; c < 3; c++) {
    for (int y = 0; y < size.height; y++) {
      for (int x = 0; x < size.width; x++, i++) {
        const float px = x + u, py = y + v, phase = c * 2.F;
        const float wave = std::sin(.31F * px + .12F * py + phase) + std::sin(.23F * py - .41F * px + 2 * phase) +
                           std::sin(.52F * py + .19F * px - phase);
        const bool plain = x < size.width / 3;
        picture.v[i] = std::clamp(gain * (plain ? 90 : 120 + 35 * wave) + (plain ? 0 : 2 * picture.v[i]), 0.F, 255.F);
      }
    }
  }
  return picture;
}

/// A planar flow around (u, v) with errors of up to `spread`.
Hypothesis around(Random& random, int height, int width, float u, float v, float spread) {
  Hypothesis flow{height, width, random.values(static_cast<std::size_t>(2) * height * width, spread)};
  for (std::size_t i = 0; i < flow.v.size(); i++) flow.v[i] += i < flow.v.size() / 2 ? u : v;
  return flow;
}

Values floats(const Map& m) { return {m.v.begin(), m.v.end()}; }

/// The rows of a matrix from a list of values that has `cols` of each.
Map map_of(int cols, const Values& values) { return {static_cast<int>(values.size()) / cols, cols, values}; }

/// A bench for patches, whose matrices have no padding.
class PatchBench {
 public:
  PatchBench(Bench& bench, Size size) : b(bench), grid(size.grid()) {}

  Image image(const Picture& picture) { return image_of(b, picture); }
  RealMatrix tight(int rows, int cols) { return b.tight(rows, cols); }
  RealMatrix tight(int rows, int cols, const Values& values) {
    const RealMatrix m = tight(rows, cols);
    b.ops.write(values, m);
    return m;
  }
  RealMatrix tight(const Map& m) { return tight(m.rows, m.cols, floats(m)); }
  RealMatrix planar(const Hypothesis& flow) { return b.matrix<Real>(2 * flow.height, flow.width, flow.v); }

  Bench& b;
  PatchGrid grid;
};

/// Checks u, v and both costs of patches; one of 150 may differ.
void check_found(const Values& actual, const Map& expected, const char* what, Size size) {
  check::that(actual.size() == expected.v.size(), "number of values");
  int off = 0;
  std::string first;
  for (int n = 0; n < expected.rows; n++) {
    const float* found = &actual[static_cast<std::size_t>(4) * n];
    const double cost = expected.at(n, 2);
    const bool near = std::abs(found[0] - expected.at(n, 0)) < 3e-3 && std::abs(found[1] - expected.at(n, 1)) < 3e-3 &&
                      std::abs(found[2] - cost) < 2e-3 * cost + .3 && std::abs(found[3] - expected.at(n, 3)) < 2e-3;
    if (near) continue;
    off++;
    std::ostringstream text;
    text << "patch " << n << ": " << found[0] << ' ' << found[1] << ' ' << found[2] << ' ' << found[3] << ", not "
         << expected.at(n, 0) << ' ' << expected.at(n, 1) << ' ' << cost << ' ' << expected.at(n, 3);
    if (first.empty()) first = text.str();
  }
  check::that(off * 150 <= expected.rows, what, " of ", size.height, " x ", size.width, ": ", off, " of ",
              expected.rows, " patches differ, first ", first);
}

const WithoutOperands templates("patch_templates gives the means, the contrast and the Hessian of every patch",
                                [](Bench& b, Random& random) {
                                  for (const Size size : sizes) {
                                    PatchBench bench(b, size);
                                    const Picture picture = draw(random, size, 0, 0);
                                    const auto out = bench.tight(bench.grid.size(), template_cols);
                                    b.ops.patch_templates(bench.image(picture), bench.grid, out);
                                    const Map actual = map_of(template_cols, b.read(out)),
                                              expected = reference::patch_templates(picture, bench.grid);
                                    for (int c = 0; c < template_cols; c++) {
                                      Values column;
                                      reference::Doubles truth;
                                      for (int n = 0; n < actual.rows; n++) {
                                        column.push_back(static_cast<float>(actual.at(n, c))),
                                            truth.push_back(expected.at(n, c));
                                      }
                                      check::close(column, truth, 1e-4, "column " + std::to_string(c));
                                    }
                                  }
                                });

const WithoutOperands searches("search_patches descends from every hypothesis, of every size", [](Bench& b,
                                                                                                  Random& random) {
  for (const Size size : sizes) {
    PatchBench bench(b, size);
    const Picture from = draw(random, size, 0, 0), to = draw(random, size, -2.3F, 1.4F, 1.2F);
    const Map templates = reference::patch_templates(from, bench.grid);
    // The level above, another size, one pixel; and what no flow should be.
    std::vector<Hypothesis> all = {around(random, size.height / 2, size.width / 2, 1.1F, -.7F, .4F),
                                   around(random, size.height / 3 + 2, size.width / 3 + 1, .7F, -.5F, .5F),
                                   around(random, 1, 1, .01F, 0, 0), around(random, 3, 4, 0, 0, 50)};
    for (std::size_t i = 1; i < all[1].v.size(); i += 4) {
      all[1].v[i] = i % 3 == 0 ? nan : i % 3 == 1 ? infinity : -infinity;
    }
    const auto from_image = bench.image(from), to_image = bench.image(to);
    const auto ready = bench.tight(templates);
    std::vector<RealMatrix> hypotheses;
    for (const Hypothesis& flow : all) hypotheses.push_back(bench.planar(flow));
    const SearchOptions options;
    const auto found = bench.tight(5 * bench.grid.size(), patch_cols);
    b.ops.search_patches(from_image, to_image, bench.grid, ready, hypotheses, true, options, found);
    check_found(b.read(found), reference::search_patches(from, to, bench.grid, templates, all, true, options), "found",
                size);
  }
});

const WithoutOperands counts("search_patches takes up to eight hypotheses and keeps their order", [](Bench& b,
                                                                                                     Random& random) {
  const Size size{61, 47, 5};
  PatchBench bench(b, size);
  const Picture from = draw(random, size, 0, 0), to = draw(random, size, 1, 1);
  const auto from_image = bench.image(from), to_image = bench.image(to);
  const auto ready = bench.tight(reference::patch_templates(from, bench.grid));
  SearchOptions options;
  options.iterations = 0;  // a result is where its search began
  std::vector<RealMatrix> hypotheses;
  for (int k = 0; k < 9; k++) {
    for (const bool zero : {false, true}) {
      const int zeros = zero ? 1 : 0;
      if (k + zeros == 0) continue;
      const auto found = bench.tight((k + zeros) * bench.grid.size(), patch_cols);
      b.ops.search_patches(from_image, to_image, bench.grid, ready, hypotheses, zero, options, found);
      const Map actual = map_of(patch_cols, b.read(found));
      for (int r = 0; r < actual.rows; r++) {
        const int number = r / bench.grid.size() - zeros;  // hypothesis `number` is number + 1 everywhere
        const double u = (number + 1) * 47 / 5., v = -(number + 1) * 61 / 4.;
        check::that(std::abs(actual.at(r, 0) - u) < 1e-4 && std::abs(actual.at(r, 1) - v) < 1e-4, "row ", r, ": ",
                    actual.at(r, 0), ' ', actual.at(r, 1), ", not ", u, ' ', v);
      }
    }
    const auto number = static_cast<float>(k + 1);
    hypotheses.push_back(bench.planar(around(random, 4, 5, number, -number, 0)));
  }
  const auto found = bench.tight(9 * bench.grid.size(), patch_cols);
  try {
    b.ops.search_patches(from_image, to_image, bench.grid, ready, hypotheses, false, options, found);
  } catch (const Error& error) {
    check::that(error.code() == ErrorCode::native, error.what());
    return;
  }
  check::fail("nine hypotheses were taken");
});

const WithoutOperands still("a frame and itself have no motion and no cost", [](Bench& b, Random& random) {
  for (const Size size : sizes) {
    PatchBench bench(b, size);
    for (const Picture& picture :
         {draw(random, size, 0, 0), Picture{size.height, size.width, Values(3 * size.height * size.width, 77)}}) {
      const auto image = bench.image(picture);
      const auto ready = bench.tight(bench.grid.size(), template_cols);
      const auto found = bench.tight(bench.grid.size(), patch_cols);
      b.ops.patch_templates(image, bench.grid, ready);
      b.ops.search_patches(image, image, bench.grid, ready, {}, true, {}, found);
      for (const float value : b.read(found)) check::that(value == 0, value);
    }
  }
});

const WithoutOperands votes("vote_patches takes the candidate that its neighbourhood supports", [](Bench& b,
                                                                                                   Random& random) {
  for (const Size size : sizes) {
    PatchBench bench(b, size);
    const int n = bench.grid.size();
    for (const int count : {1, 2, 3, 9}) {
      Map templates(n, template_cols, random.values(static_cast<std::size_t>(n) * template_cols));
      Map found(count * n, patch_cols, random.values(static_cast<std::size_t>(count) * n * patch_cols, 30));
      for (int i = 0; i < n; i++) templates.at(i, 9) = 4000 * (1 + templates.at(i, 9));
      for (int r = 0; r < found.rows; r++) found.at(r, 2) = 160 * std::abs(found.at(r, 2));
      if (count == 9) {  // the last candidate ties with the first
        for (int i = 0; i < n; i++) found.at(8 * n + i, 2) = found.at(i, 2);
      }
      const SearchOptions options{.support = 2, .window = size.height == 61 ? 2 : 10};
      const auto patches = bench.tight(n, patch_cols);
      b.ops.vote_patches(bench.grid, bench.tight(templates), count, options, bench.tight(found), patches);
      const Values actual = b.read(patches);
      const Map costs = reference::votes(bench.grid, templates, found, options);
      for (int i = 0; i < n; i++) {
        int chosen = 0;  // the first candidate with the motion of the result
        while (chosen < count && static_cast<float>(found.at(chosen * n + i, 0)) != actual[4 * i]) chosen++;
        check::that(chosen < count, "patch ", i, " is none of its candidates");
        check::that(chosen < 8 || count != 9, "patch ", i, " is the last of two equal candidates");
        const Map candidate = map_of(4, Values(actual.begin() + 4 * i, actual.begin() + 4 * i + 4));
        for (int c = 0; c < 3; c++) {
          check::that(candidate.at(0, c) == static_cast<float>(found.at(chosen * n + i, c)), "mixed candidates");
        }
        const double relative = std::min(1., found.at(chosen * n + i, 2) / (templates.at(i, 9) + 192));
        check::that(std::abs(candidate.at(0, 3) - relative) < 1e-5, "relative cost ", candidate.at(0, 3));
        for (int k = 0; k < count; k++) {
          check::that(costs.at(chosen, i) < costs.at(k, i) + (k > chosen ? 1e-3 : 0) + 1e-5, "patch ", i,
                      ": candidate ", chosen, " costs ", costs.at(chosen, i), ", candidate ", k, ' ', costs.at(k, i));
        }
      }
    }
  }
});

const WithoutOperands propagates(
    "propagate_patches adopts the motions of neighbours that fit better", [](Bench& b, Random& random) {
      for (const Size size : sizes) {
        PatchBench bench(b, size);
        const Picture from = draw(random, size, 0, 0), to = draw(random, size, 3.2F, -2.1F);
        const Map templates = reference::patch_templates(from, bench.grid);
        // One patch of three is nearly right, the others are far off; a few neighbours agree.
        Map patches(bench.grid.size(), patch_cols);
        const Values off = random.values(2 * patches.rows, .5F), far = random.values(2 * patches.rows, 9);
        for (int n = 0; n < patches.rows; n++) {
          const reference::PatchDescent patch(from, to, bench.grid, templates, n);
          const bool good = n % 3 == 0;
          patches.at(n, 0) = good ? static_cast<float>(-3.2F + off[2 * n]) : far[2 * n];
          patches.at(n, 1) = good ? static_cast<float>(2.1F + off[2 * n + 1]) : far[2 * n + 1];
          if (n % 7 == 1) patches.at(n, 0) = patches.at(n - 1, 0), patches.at(n, 1) = patches.at(n - 1, 1);
          const double cost = patch.at(patches.at(n, 0), patches.at(n, 1)).cost;
          patches.at(n, 2) = static_cast<float>(cost), patches.at(n, 3) = static_cast<float>(patch.relative(cost));
        }
        const auto from_image = bench.image(from), to_image = bench.image(to);
        const auto in = bench.tight(patches), out = bench.tight(patches.rows, patch_cols);
        SearchOptions options;
        options.iterations = 2;
        b.ops.propagate_patches(from_image, to_image, bench.grid, bench.tight(templates), in, options, out);
        check_found(b.read(out), reference::propagate_patches(from, to, bench.grid, templates, patches, options),
                    "propagated", size);
        check::that(b.read(in) == floats(patches), "the patches before changed");
      }
    });

const WithoutOperands exposes("fit_exposure finds gain and offset of each channel", [](Bench& b, Random& random) {
  for (const Size size : {Size{8, 8, 4}, {9, 13, 4}, {61, 47, 5}, {120, 160, 4}, {200, 240, 4}}) {
    PatchBench bench(b, size);
    const Picture from = draw(random, size, 0, 0);
    Picture to = draw(random, size, -1.8F, .6F);
    const std::size_t plane = to.v.size() / 3;
    for (std::size_t i = 0; i < to.v.size(); i++) to.v[i] = to.v[i] * (i < plane ? .8F : .6F) + (i < plane ? 20 : 3);
    Map patches(bench.grid.size(), patch_cols, random.values(static_cast<std::size_t>(4) * bench.grid.size(), .4F));
    for (int n = 0; n < patches.rows; n++) {
      patches.at(n, 0) += n % 9 == 4 ? 30 : 1.8;  // some are wrong, and many of those lie beyond the edge
      patches.at(n, 1) -= .6;
    }
    for (double& value : patches.v) value = static_cast<float>(value);
    const Map templates = reference::patch_templates(from, bench.grid);
    const auto exposure = b.matrix<Real>(1, 8);
    b.ops.fit_exposure(bench.image(to), bench.grid, bench.tight(templates), bench.tight(patches), exposure);
    const auto expected = reference::fit_exposure(to, bench.grid, templates, patches);
    const Values actual = b.read(exposure);
    for (const int i : {0, 1, 2, 4, 5, 6}) {
      check::that(std::abs(actual[i] - expected[i]) < (i < 4 ? 2e-4 : 2e-2), size.height, " x ", size.width, ", value ",
                  i, ": ", actual[i], ", not ", expected[i]);
    }
  }
});

const WithoutOperands nowhere("fit_exposure changes nothing where all patches leave the frame", [](Bench& b,
                                                                                                   Random& random) {
  const Size size{61, 47, 5};
  PatchBench bench(b, size);
  Map patches(bench.grid.size(), patch_cols);
  for (int n = 0; n < patches.rows; n++) patches.at(n, 0) = n % 2 == 0 ? 1000 : -1000;
  const Picture picture = draw(random, size, 0, 0);
  const auto exposure = b.matrix<Real>(1, 8);
  b.ops.fit_exposure(bench.image(picture), bench.grid, bench.tight(reference::patch_templates(picture, bench.grid)),
                     bench.tight(patches), exposure);
  const Values actual = b.read(exposure);
  for (int c = 0; c < 3; c++) check::that(actual[c] == 1 && actual[4 + c] == 0, actual[c], ' ', actual[4 + c]);
});

const WithoutOperands densifies(
    "densify_patches weights the patches over a pixel by how it is found", [](Bench& b, Random& random) {
      for (const Size size : sizes) {
        PatchBench bench(b, size);
        const Picture from = draw(random, size, 0, 0), to = draw(random, size, 2.6F, -1.3F, .9F);
        Map patches(bench.grid.size(), patch_cols, random.values(static_cast<std::size_t>(4) * bench.grid.size(), .7F));
        for (int n = 0; n < patches.rows; n++) {
          patches.at(n, 0) += n % 5 == 2 ? 300 : -2.6, patches.at(n, 1) += n % 7 == 3 ? -40 : 1.3;
        }
        for (double& value : patches.v) value = static_cast<float>(value);
        const Map templates = reference::patch_templates(from, bench.grid);
        const Values exposure = {.9F, .95F, .85F, 0, 1, -2, 3, 0};
        const auto from_image = bench.image(from), to_image = bench.image(to);
        const auto ready = bench.tight(templates), states = bench.tight(patches), line = b.matrix<Real>(1, 8, exposure);
        const auto flow = b.matrix<Real>(2 * size.height, size.width), sure = b.matrix<Real>(size.height, size.width);
        const auto alone = b.matrix<Real>(2 * size.height, size.width);
        b.ops.densify_patches(from_image, to_image, bench.grid, ready, states, line, flow, sure);
        b.ops.densify_patches(from_image, to_image, bench.grid, ready, states, line, alone, {});
        const Map expected = reference::densify_patches(from, to, bench.grid, patches, exposure);
        const Values motion = b.read(flow), certainty = b.read(sure);
        check::that(motion == b.read(alone), "without `sure` the flow is another");
        for (std::size_t i = 0; i < motion.size(); i++) {
          check::that(std::abs(motion[i] - expected.v[i]) < 2e-3 + 1e-4 * std::abs(expected.v[i]), size.height, " x ",
                      size.width, ", value ", i, ": ", motion[i], ", not ", expected.v[i]);
        }
        for (std::size_t i = 0; i < certainty.size(); i++) {
          check::that(std::abs(certainty[i] - expected.v[motion.size() + i]) < 1e-4, "sure of pixel ", i, ": ",
                      certainty[i], ", not ", expected.v[motion.size() + i]);
        }
      }
    });

const WithoutOperands recorded(
    "a recorded sequence of patch stages gives the bits of its first run", [](Bench& b, Random& random) {
      const Size size{61, 47, 4};
      PatchBench bench(b, size);
      const Image from = bench.image(draw(random, size, 0, 0)), to = bench.image(draw(random, size, 1.2F, -.8F, .9F));
      const int n = bench.grid.size();
      const auto templates = bench.tight(n, template_cols), found = bench.tight(3 * n, patch_cols);
      const auto patches = bench.tight(n, patch_cols), others = bench.tight(n, patch_cols);
      const auto exposure = b.matrix<Real>(1, 8);
      const auto flow = b.matrix<Real>(2 * size.height, size.width), sure = b.matrix<Real>(size.height, size.width);
      const std::array hypotheses = {bench.planar(around(random, 30, 23, -.6F, .4F, 1)),
                                     bench.planar(around(random, 5, 4, 0, 0, 3))};
      const SequenceKey key{1};
      std::vector<Values> results;
      for (int run = 0; run < 3; run++) {
        b.ops.write(Values(static_cast<std::size_t>(2) * size.height * size.width, 0), flow);
        b.ops.sequence(&key, {}, [&] {
          b.ops.patch_templates(from, bench.grid, templates);
          b.ops.search_patches(from, to, bench.grid, templates, hypotheses, true, {}, found);
          b.ops.vote_patches(bench.grid, templates, 3, {}, found, patches);
          b.ops.propagate_patches(from, to, bench.grid, templates, patches, {}, others);
          b.ops.fit_exposure(to, bench.grid, templates, others, exposure);
          b.ops.densify_patches(from, to, bench.grid, templates, others, exposure, flow, sure);
        });
        b.ops.finish();
        results.push_back(b.read(flow));
      }
      check::that(results[0].back() != 0, "no flow");
      check::that(results[1] == results[0] && results[2] == results[0], "another run, another flow");
    });

}  // namespace
