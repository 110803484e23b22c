#pragma once

#include <algorithm>
#include <cmath>

#include "ops/matrix.h"

namespace flow {

struct Image;

// The choice between motions, per pixel of a level. Where an object has no texture, is hidden or leaves the frame, its
// pixels do not tell how it moves, but the rest of it does. So the few motions that most pixels share become labels
// over the whole level, beside the flows found by search, and every pixel takes the label that fits it and its
// neighbours.

/// The level of the choice.
constexpr int label_level = 2;

constexpr int most_starts = 4;
constexpr int most_motions = 6;
constexpr int most_labels = most_starts + most_motions;

/// Columns of a motion: d, with which (x, y) moves to ((x + d0 x + d1 y + d2, y + d3 x + d4 y + d5) / (1 + d6 x + d7
/// y)), measured from the level's centre in widths of the level; then the share of the level that the motion explains.
/// The first motion with a share of 0 ends the list.
constexpr int motion_cols = 9;
/// Columns of the facts about a choice: the typical cost, and the cost outside the frame.
constexpr int fact_cols = 2;

/// The labels of a level: the flows found from several starts, then the motions. The first start may be that nothing
/// moves. All matrices have one part of 2 *
/// height (flows) or height rows per label.
struct Labels {
  int height = 0;
  int width = 0;
  int starts = 0;
  RealMatrix flows;
  RealMatrix costs;
  RealMatrix scales;   // 1 / sqrt(1 + relative * |motion|)
  RealMatrix sums;     // scratch: messages
  RealMatrix motions;  // most_motions x motion_cols
  RealMatrix facts;    // 1 x fact_cols

  RealMatrix flow(int label) const { return rows_of(flows, 2 * height * label, 2 * height); }

  /// All but the first label.
  Labels without_first() const {
    const auto behind = [](RealMatrix m, int rows) { return rows_of(m, rows, m.rows - rows); };
    Labels rest = *this;
    rest.starts--;
    rest.flows = behind(flows, 2 * height);
    rest.costs = behind(costs, height), rest.scales = behind(scales, height), rest.sums = behind(sums, height);
    return rest;
  }
};

/// Distances of the pixels that stand for all pixels of a level: each kind is a grid of about as many points on every
/// level, so that time does not grow with it.
struct LabelGrids {
  int rated;         // of rate_costs: at most 4096 points
  int fine, coarse;  // windows in which motions are looked for; their radii, too
  int samples;       // motions compete for these
  int fitted;        // a motion's parameters are fitted to these

  LabelGrids(int height, int width) {
    const auto spacing = [area = static_cast<double>(height) * width](int count, int least) {
      return std::max(least, static_cast<int>(std::ceil(std::sqrt(area / count))));
    };
    rated = spacing(3000, 1);  // rows and columns round up, so there may be more points than that
    fine = spacing(768, 5), coarse = fine * 12 / 5;
    samples = spacing(540, 6);
    fitted = spacing(1200, 2);
  }
};

struct LabelOptions {
  int motions = 6;         // at most; at most most_motions
  float contrast = 1.5F;   // levels of difference between two pixels beyond which the cost does not count more
  float tolerance = 0.4F;  // px by which a flow may differ from a motion that explains it,
  float fraction = 0.02F;  // plus this part of the flow
  float share = 0.01F;     // the least that a motion explains
  float outside = 0.1F;    // a pixel outside the frame costs as much as a typical one and at most this more
  float smoothness = 5;    // lambda: between neighbours. Times 1 - typical cost: noise makes all labels more alike
  float most = 2;          // the largest difference between neighbours that counts
  float relative = 1;      // differences are relative to the motions: 1 px of 0 px counts as much as 21 px of 10 px
  float edge = 30;         // levels of difference, summed over R, G, B, at which smoothness falls to 1/e,
  float least = 0.1F;      // but not below this part
  float moving = 0.06F;    // what every label but the first costs more
  float covered = 0.2F;    // a pixel that another one hides costs this more than one outside the frame
};

/// The stages of the choice. Lengths are in pixels of the labels' level.
class LabelStages {
 public:
  virtual ~LabelStages() = default;

  /// The first label's flow = 0: nothing moves.
  virtual void clear_first_label(const Labels& labels) = 0;

  /// costs of labels [first, first + count) = how unlike the frames are, 0 to 1: with A the luma of `from` times the
  /// exposure's gain, and W that of `to` where the flow leads (bilinear in the flow), |t(W(p + d) - W(p)) - t(A(p + d)
  /// - A(p))|, t clipping to -1..1 after a division by `contrast` (a soft census, after Zabih and Woodfill, ECCV 1994),
  /// mean over 12 neighbours d that point down or to the right, p in a window of 6 x 5 pixels. The images are of twice
  /// the labels' size, and both are taken by a quadratic spline: between two pixels, bilinear interpolation would halve
  /// the noise, so that where nothing moves a motion of half a pixel would cost less than none. A motion with no share
  /// costs nothing, and is none.
  virtual void census_costs(const Image& from, const Image& to, RealMatrix exposure, const Labels& labels, int first,
                            int count, const LabelOptions& options) = 0;

  /// facts = the median of the least cost of the starts, over at most some thousand pixels that stay in the frame;
  /// the cost outside, which is that plus itself or `outside`, whichever is less, but at least 0.05.
  virtual void rate_costs(const Labels& labels, const LabelOptions& options) = 0;

  /// motions = those that explain most pixels of the starts' flows, greedily: affine fits in some hundred windows
  /// compete for the pixels, then each becomes a homography (4 reweighted passes over some thousand pixels). The flows
  /// of the motions follow those of the starts. A pixel counts less the more it costs, and not at all where it leaves
  /// the frame.
  virtual void fit_motions(const Labels& labels, const LabelOptions& options) = 0;

  /// costs = mixed with the cost outside, by the part of the window that leaves the frame, plus `moving` for all labels
  /// but the first, plus 0.002 times the label: between labels that are the same but for rounding, the first is chosen.
  /// Computes the scales.
  virtual void charge_outside(const Labels& labels, const LabelOptions& options) = 0;

  /// chosen (h x w) = the label with the least sum of its cost and the messages from all four sides (Hirschmueller,
  /// Stereo Processing by Semiglobal Matching and Mutual Information, IEEE TPAMI 2008, with one path per side). A
  /// difference between neighbours' flows costs smoothness * (1 - typical cost) * w * min(most, |difference|_1 * both
  /// scales), w = exp(-|difference of R, G, B| / edge), also within a start's label: a ragged flow pays. Neighbours of
  /// the same motion pay nothing.
  virtual void choose_labels(const Image& image, const Labels& labels, const LabelOptions& options,
                             RealMatrix chosen) = 0;

  /// Where a label leads a pixel to a place at which another one, more than 6 px away, fits better (or by 0.05 worse),
  /// that one hides it, and its likeness to what is seen there is chance: the cost is at least that outside plus
  /// `covered`. `claims` (2*h x w) is scratch.
  virtual void charge_covered(const Labels& labels, const LabelOptions& options, RealMatrix chosen,
                              RealMatrix claims) = 0;

  /// flow (2*h x w) = that of the chosen labels.
  virtual void take_labels(const Labels& labels, RealMatrix chosen, RealMatrix flow) = 0;
};

}  // namespace flow
