#include "model/refiner.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "model/confidence_weights.h"

namespace flow {

namespace {

/// Distance of a level's patches: at a half they are sparser, since there are four times as many.
int patch_stride(int level) { return level == 1 ? 5 : 4; }

/// Levels of a pyramid: the smallest still holds a patch.
int count_levels(int height, int width) {
  int levels = 1;
  while (std::min(height, width) >> levels >= patch_side) levels++;
  return levels;
}

/// A start takes part from the level whose pixels are as large as its cells.
int first_level(const Refiner::Start& start, int width, int levels) {
  const float pixels = static_cast<float>(start.cell) * static_cast<float>(width) / static_cast<float>(start.flow.cols);
  return std::clamp(static_cast<int>(std::lround(std::log2(pixels))), 1, std::max(1, levels - 1));
}

/// The first rows and columns of a matrix that is laid out for a larger level.
RealMatrix of_size(RealMatrix m, int rows, int cols) { return {m.data, rows, cols, m.stride}; }

}  // namespace

// ---- FramePyramid ---------------------------------------------------------------------------------------------------

FramePyramid::FramePyramid(Ops& ops, int height, int width) {
  const int count = count_levels(height, width);
  std::vector<std::size_t> offsets;
  for (int l = 0; l < count; l++) {
    const int h = height >> l, w = width >> l, cols = w + 2 * image_border;
    const int rows = Image::planes_of(l) * (h + 2 * image_border);
    levels_.push_back({h, w, {nullptr, rows, cols, ops.stride(cols)}});
    offsets.push_back(bytes_);
    bytes_ += sizeof(float) * static_cast<std::size_t>(rows) * static_cast<std::size_t>(levels_.back().planes.stride);
  }
  memory_ = ops.allocate(bytes_);
  for (std::size_t l = 0; l < levels_.size(); l++) {
    levels_[l].planes.data = static_cast<std::byte*>(memory_->data()) + offsets[l];
  }
}

// ---- RefineOptions --------------------------------------------------------------------------------------------------

RefineOptions RefineOptions::fast() {
  RefineOptions options;
  options.finest = 1;
  options.fine_rounds = 2;
  options.fill.passes = 1;
  options.labels.motions = 0;
  options.labels.moving = 0.045F;  // more would lose motions in noise, as no label of many pixels supports them
  options.variational = {.outer = 2, .inner = 5, .halo = 4};
  options.matches = false;
  return options;
}

RefineOptions RefineOptions::best() {
  RefineOptions options;
  options.full.outer = 6, options.full.inner = 8;
  options.both_ways = true;
  options.sharpens = true;
  return options;
}

RefineOptions RefineOptions::of(Refinement chosen) {
  RefineOptions options = chosen.preset == RefinePreset::fast   ? fast()
                          : chosen.preset == RefinePreset::best ? best()
                                                                : RefineOptions{};
  options.variational.smoothness *= chosen.smoothness;
  options.full.smoothness *= chosen.smoothness;
  return options;
}

// ---- Refiner --------------------------------------------------------------------------------------------------------

Refiner::Plan::Plan(Ops& ops, int height, int width)
    : height_(height), width_(width), arena_(ops, [this](Arena& arena) { lay_out(arena); }) {}

void Refiner::Plan::lay_out(Arena& arena) {
  const auto unpadded = [&](int rows, int cols) {
    const auto elements = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
    return RealMatrix{arena.block<Real>(elements).data, rows, cols, cols};
  };
  levels_.clear();
  int most = 0;
  for (int l = 1; l < count_levels(height_, width_); l++) {
    const int h = height_ >> l, w = width_ >> l;
    const PatchGrid grid(h, w, patch_stride(l));
    levels_.push_back({h, w, grid, unpadded(grid.size(), template_cols)});
    most = std::max(most, grid.size());
  }
  found_ = unpadded((1 + most_starts) * most, patch_cols);
  patches_ = unpadded(most, patch_cols), others_ = unpadded(most, patch_cols);
  exposure_ = arena.matrix<Real>(1, 8);
  const int h = height_ / 2, w = width_ / 2;
  dense_ = arena.matrix<Real>(2 * h, w), flow_ = arena.matrix<Real>(2 * h, w), back_ = arena.matrix<Real>(2 * h, w);
  sure_ = arena.matrix<Real>(h, w), best_ = arena.matrix<Real>(h, w);
  scratch_ = arena.matrix<Real>(5 * h, w);
  coarse_ = arena.matrix<Real>(2 * (height_ >> (label_level + 1)), width_ >> (label_level + 1));
  arena.share([&] { doubled_ = arena.matrix<Real>(2 * height_, width_); },
              [&] {
                arena.share([&] { measures_ = arena.matrix<Real>(measure_count * h, w); },
                            [&] {
                              const int label_height = height_ >> label_level, label_width = width_ >> label_level;
                              const auto of_labels = [&](int planes) {
                                return arena.matrix<Real>(planes * most_labels * label_height, label_width);
                              };
                              labels_ = {label_height,
                                         label_width,
                                         0,
                                         of_labels(2),
                                         of_labels(1),
                                         of_labels(1),
                                         of_labels(1),
                                         arena.matrix<Real>(most_motions, motion_cols),
                                         arena.matrix<Real>(1, fact_cols)};
                            });
              });
}

struct Refiner::Pair {
  std::span<const Image> from, to;
  const RefineOptions& options;
  RealMatrix back;  // the flow back, of level 1; optional
};

/// The patches of a level, into plan.patches_.
void Refiner::search(const Pair& pair, int level, std::span<const RealMatrix> hypotheses, bool zero, Plan& plan) const {
  const Plan::Level& at = plan.levels_[static_cast<std::size_t>(level - 1)];
  const Image &from = pair.from[static_cast<std::size_t>(level)], &to = pair.to[static_cast<std::size_t>(level)];
  SearchOptions options = pair.options.search;
  if (level > 2) options.texture *= 0.5F;  // a coarse level's noise is weaker,
  if (level > 1) options.unlike = 1;       // and its hypotheses are too far off to go back to
  ops_.patch_templates(from, at.grid, at.templates);
  const int count = static_cast<int>(hypotheses.size()) + (zero ? 1 : 0);
  ops_.search_patches(from, to, at.grid, at.templates, hypotheses, zero, options,
                      count == 1 ? plan.patches_ : plan.found_);
  if (count > 1) ops_.vote_patches(at.grid, at.templates, count, options, plan.found_, plan.patches_);
  options.iterations = 2;
  const int rounds = level == 1 ? pair.options.fine_rounds : pair.options.rounds;
  for (int i = 0; i < rounds; i++) {
    ops_.propagate_patches(from, to, at.grid, at.templates, plan.patches_, options, plan.others_);
    std::swap(plan.patches_, plan.others_);
  }
}

/// A flow of every pixel from the level's patches.
void Refiner::densify(const Pair& pair, int level, Plan& plan, RealMatrix dense) const {
  const Plan::Level& at = plan.levels_[static_cast<std::size_t>(level - 1)];
  const Image &from = pair.from[static_cast<std::size_t>(level)], &to = pair.to[static_cast<std::size_t>(level)];
  const bool fills = level <= 2;
  const RealMatrix sure = of_size(plan.sure_, at.height, at.width), best = of_size(plan.best_, at.height, at.width);
  ops_.fit_exposure(to, at.grid, at.templates, plan.patches_, plan.exposure_);
  ops_.densify_patches(from, to, at.grid, at.templates, plan.patches_, plan.exposure_, dense,
                       fills ? sure : RealMatrix{});
  if (!fills) return;
  ops_.find_covered(dense, sure, best);
  if (pair.back) ops_.check_return(dense, pair.back, level == 1 ? 1 : 2, sure);
  ops_.fill_flow(from, dense, sure, pair.options.fill, of_size(plan.scratch_, 5 * at.height, at.width));
}

/// Levels `first` to `last`, from the flow of the level above, if any. Returns the last level's flow: in `out`, if it
/// is given, or in the plan's memory.
RealMatrix Refiner::refine_levels(const Pair& pair, int first, int last, RealMatrix above,
                                  std::span<const Start> starts, Plan& plan, RealMatrix out) const {
  const int levels = static_cast<int>(pair.from.size());
  for (int l = first; l >= last; l--) {
    const Image& image = pair.from[static_cast<std::size_t>(l)];
    std::array<RealMatrix, 1 + most_starts> hypotheses;
    std::size_t count = 0;
    if (above) hypotheses[count++] = above;
    for (const Start& start : starts) {
      if (l <= first_level(start, plan.width_, levels)) hypotheses[count++] = start.flow;
    }
    search(pair, l, std::span(hypotheses).first(count), l == levels - 1, plan);
    const RealMatrix dense = of_size(plan.dense_, 2 * image.height, image.width);
    densify(pair, l, plan, dense);
    above = l == last && out ? out : of_size(plan.flow_, 2 * image.height, image.width);
    ops_.refine_variational(image, pair.to[static_cast<std::size_t>(l)], Image::luma_of(l), dense,
                            pair.options.variational, above);
  }
  return above;
}

/// The flow of the label level, from those of the starts, which are the labels behind the first, that nothing moves.
RealMatrix Refiner::choose(const Pair& pair, int starts, Plan& plan) const {
  const LabelOptions& options = pair.options.labels;
  const Image &from = pair.from[label_level - 1], &to = pair.to[label_level - 1];  // twice as large
  const Image& image = pair.from[label_level];
  Labels& labels = plan.labels_;
  labels.starts = 1 + starts;
  const RealMatrix chosen = of_size(plan.best_, image.height, image.width);
  const RealMatrix scratch = of_size(plan.scratch_, 2 * image.height, image.width);
  ops_.clear_first_label(labels);
  ops_.census_costs(from, to, plan.exposure_, labels, 0, labels.starts, options);
  ops_.rate_costs(labels, options);
  ops_.fit_motions(labels.without_first(), options);
  ops_.census_costs(from, to, plan.exposure_, labels, labels.starts, options.motions, options);
  ops_.charge_outside(labels, options);
  ops_.choose_labels(image, labels, options, chosen);
  ops_.charge_covered(labels, options, chosen, scratch);
  ops_.choose_labels(image, labels, options, chosen);
  const RealMatrix flow = of_size(plan.flow_, 2 * image.height, image.width);
  ops_.take_labels(labels, chosen, flow);
  return flow;
}

/// The flow of the last level that has patches, in the plan's memory; none if no level has.
RealMatrix Refiner::find_flow(const Pair& pair, std::span<const Start> starts, Plan& plan) const {
  const RefineOptions& options = pair.options;
  const int levels = static_cast<int>(pair.from.size()), last = std::max(1, options.finest);
  if (levels <= label_level || last >= label_level) return refine_levels(pair, levels - 1, last, {}, starts, plan, {});
  RealMatrix above{};
  int split = label_level;  // levels above are the same for all starts
  for (const Start& start : starts) split = std::max(split, first_level(start, plan.width_, levels));
  if (split < levels - 1) {
    const Image& image = pair.from[static_cast<std::size_t>(split) + 1];
    above =
        refine_levels(pair, levels - 1, split + 1, {}, {}, plan, of_size(plan.coarse_, 2 * image.height, image.width));
  }
  for (std::size_t k = 0; k < starts.size(); k++) {
    refine_levels(pair, split, label_level, above, starts.subspan(k, 1), plan,
                  plan.labels_.flow(1 + static_cast<int>(k)));
  }
  above = choose(pair, static_cast<int>(starts.size()), plan);
  return refine_levels(pair, label_level - 1, last, above, {}, plan, {});
}

void Refiner::run_back(const FramePyramid& from, const FramePyramid& to, std::span<const Start> starts,
                       const RefineOptions& options, Plan& plan) const {
  find_flow({from.levels(), to.levels(), options, {}}, starts, plan);
}

void Refiner::run(const FramePyramid& from, const FramePyramid& to, std::span<const Start> starts,
                  const RefineOptions& options, Plan& plan, RealMatrix out) const {
  if (options.both_ways) std::swap(plan.flow_, plan.back_);
  const Pair pair{from.levels(), to.levels(), options, options.both_ways ? plan.back_ : RealMatrix{}};
  const RealMatrix above = find_flow(pair, starts, plan);
  if (options.finest > 0 && above) {
    ops_.resize_flow(above, out);
    return;
  }
  if (above) {
    ops_.double_flow(above, plan.doubled_);
  } else {
    ops_.resize_flow(starts.front().flow, plan.doubled_);
  }
  const auto step = [&](RealMatrix in, RealMatrix to) {
    ops_.refine_variational(pair.from[0], pair.to[0], Image::luma_of(0), in, options.full, to);
  };
  if (!options.sharpens || !above) return step(plan.doubled_, out);
  const auto sharpen = [&](RealMatrix in, RealMatrix to) {
    ops_.sharpen_edges(pair.from[0], pair.from[1], in, plan.sure_, options.sharpen, to);
  };
  sharpen(plan.doubled_, out);
  step(out, plan.doubled_);
  sharpen(plan.doubled_, out);
}

void Refiner::rate(const FramePyramid& from, const FramePyramid& to, RealMatrix flow, RealMatrix back, Plan& plan,
                   RealMatrix confidence, Trace* trace) const {
  ops_.measure_flow(from.levels()[1], to.levels()[1], plan.exposure_, plan.sure_, flow, back, plan.measures_);
  if (trace != nullptr) trace->record(ops_, "measures", plan.measures_);
  // A pixel of level 1 is two of the flow's.
  const auto scale = [](int flow_pixels, int pixels) {
    return 0.5F * static_cast<float>(flow_pixels) / static_cast<float>(pixels);
  };
  ops_.rate_flow(plan.measures_, back ? weights_with_backward : weights_alone, plan.best_,
                 scale(plan.height_, confidence.rows), scale(plan.width_, confidence.cols), confidence);
}

}  // namespace flow
