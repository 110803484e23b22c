#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "ops/frame.h"
#include "ops/matrix.h"

namespace flow {

// The refinement of a flow by the pixels of its two frames. A pyramid of each frame is searched from coarse to fine:
// at each level, patches of frame 1 look for themselves in frame 2 from several hypotheses, their motions become a
// flow of every pixel, and a variational step makes it smooth. Pixel (x, y) of a level covers pixels (2x, 2y) to
// (2x + 1, 2y + 1) of the level below, so motion doubles from level to level. Level 0 is as large as the flow.

/// Pixels around an image that repeat its edge, so that stages read there without a test.
constexpr int image_border = 16;

/// One level of a frame's pyramid: planes of height x width pixels in 0..255, each with its border around it. Level 0
/// has one plane, luma (0.299 R + 0.587 G + 0.114 B); the others have R, G, B and luma.
struct Image {
  int height = 0;
  int width = 0;
  RealMatrix planes;  // planes * (height + 2 * border) x (width + 2 * border)

  static constexpr int luma_of(int level) { return level == 0 ? 0 : 3; }
  static constexpr int planes_of(int level) { return level == 0 ? 1 : 4; }
};

/// Side of a patch, in pixels of its level.
constexpr int patch_side = 8;

/// The patches of a level: row by row, `stride` pixels apart. The last of a row or column touches the image's edge.
/// An image is at least one patch wide and high.
struct PatchGrid {
  int stride;
  int down;
  int across;

  static constexpr int count(int size, int stride) { return 1 + (size - patch_side + stride - 1) / stride; }
  PatchGrid(int height, int width, int stride)
      : stride(stride), down(count(height, stride)), across(count(width, stride)) {}
  int size() const { return down * across; }
};

/// First pixel of patch `index` along a side of `size` pixels.
constexpr int patch_start(int index, int stride, int size) { return std::min(index * stride, size - patch_side); }

/// The exposure is fitted to every nth patch of every nth row, so to some 1200 at most.
inline int exposure_step(PatchGrid grid) {
  return std::max(1, static_cast<int>(std::ceil(std::sqrt(grid.size() / 1200.0))));
}

/// Columns of a patch's template: for R, G, B the mean of the pixels, of their x and of their y derivative; then, of
/// the values T without those means, summed over the channels: T.T, T.gx, T.gy; the inverse of the regularised Hessian
/// (xx, xy, yy); the smaller eigenvalue of the Hessian itself, per pixel and channel.
constexpr int template_cols = 16;
/// Columns of a patch's state: its motion u, v in pixels of its level, the cost there, and the cost relative to the
/// patch's own contrast, 0 to 1.
constexpr int patch_cols = 4;

/// Most hypotheses of a search.
constexpr int most_hypotheses = 8;

/// The pixel that a position belongs to, where one is needed, is the position plus this, rounded down. It is not 1/2,
/// because motions of whole and half pixels are common, and rounding errors would decide where those lead.
constexpr float nearest_pixel = 0.6F;

/// How patches search.
struct SearchOptions {
  int iterations = 4;    // of the descent, at most
  float texture = 2;     // a patch whose template has a smaller eigenvalue does not descend
  float reach = 4.8F;    // px that a descent may lead away from its start
  float stop = 0.02F;    // px: shorter steps of a descent get less and less
  float unlike = 0.5F;   // a descent that ends at a relative cost beyond this has followed noise, and does not count
  float better = 0.95F;  // a neighbour's motion is adopted if its cost is below `better` times the own cost
  float support = 8;     // weight of the neighbourhood's relative cost in the choice between hypotheses
  int window = 10;       // radius of that neighbourhood, in patches
};

/// How a flow is filled in where few pixels are sure of it.
struct FillOptions {
  int passes = 2;
  float smoothness = 100;  // lambda
  float edge = 15;         // levels of difference, summed over R, G, B, at which smoothing falls to 1/e
  float keep = 0.5F;       // a pixel keeps c / (c + keep * mean) of its own motion

  /// Of pass `pass`: Min et al., equation 17. Later passes smooth less; the sum of all is half of `smoothness`.
  constexpr float lambda(int pass) const {
    float part = 1, all = 0;
    for (int i = 0; i < passes; i++) all = 4 * all + 1;
    for (int later = pass + 1; later < passes; later++) part *= 4;
    return 0.5F * smoothness * part / all;
  }
};

/// The weights of the variational step's energy, and its iterations.
struct VariationalOptions {
  int outer = 4;            // times that the robust weights are computed
  int inner = 5;            // sweeps of red-black SOR for each
  float smoothness = 28;    // alpha
  float gradient = 12;      // gamma: constancy of the gradient
  float brightness = 2.5F;  // delta: constancy of the brightness
  float relaxation = 1.6F;  // omega of SOR
  int halo = 8;             // pixels around a tile that are solved with it: even, at most variational_halo
};
/// The variational step works in tiles, the same ones on every engine, so that the results are the same.
constexpr int variational_tile_height = 48, variational_tile_width = 64, variational_halo = 8;

/// How the edges of a flow are sharpened.
struct SharpenOptions {
  float step = 1;       // px: at an edge, the motion changes by more than this
  float share = 0.1F;   // and by more than this part of its length
  float color = 14;     // levels of difference at which a neighbour's weight falls to 1/e
  float distance = 7;   // px: standard deviation of the weights
  float least = 0.03F;  // a neighbour counts as at least so sure
};
/// The window of a pixel is 7 x 7 pixels, two pixels apart.
constexpr int sharpen_radius = 3, sharpen_step = 2, sharpen_reach = sharpen_radius * sharpen_step;
/// A median is found to 2^-16 of the window's range.
constexpr int sharpen_halvings = 16;

/// What is measured of a refined flow to tell how certain it is; each is v / (v + s), 0 to 1.
constexpr int measure_count = 8;
/// A network of one hidden layer that tells from the measures m whether a flow is right: hidden_i = a_i / (1 + |a_i|),
/// a_i = the dot product of row i of `hidden` with (m, 1); the probability is 1 / (1 + exp(-z)), z = the dot product of
/// `out` with (hidden, 1).
constexpr int hidden_count = 8;
struct ConfidenceWeights {
  float hidden[hidden_count][measure_count + 1];
  float out[hidden_count + 1];
};

/// The stages of the refinement. The model only calls them, and never touches a pixel. Motions are in pixels of their
/// level. An image is never smaller than a patch. Templates and patches are matrices without padding.
class RefineStages {
 public:
  virtual ~RefineStages() = default;

  /// levels[0] = luma of a staged frame, resized to levels[0]'s size (triangle filter, as wide as a pixel of the larger
  /// one, so that nothing is skipped); levels[l] = means of 2 x 2 pixels of level l - 1, of an odd size without its
  /// last row or column.
  virtual void image_pyramid(const Frame& frame, std::span<const Image> levels) = 0;

  /// templates (N x template_cols) of the patches of `image`. Derivatives are central differences; the Hessian of a
  /// patch is the sum of g g^T over its pixels and channels plus 1.3 per pixel and channel on its diagonal.
  virtual void patch_templates(const Image& image, PatchGrid grid, RealMatrix templates) = 0;

  /// found (K*N x patch_cols) = for each hypothesis (a flow, planar, of any size, in pixels of its own), patches after
  /// a descent from it. `zero` adds the hypothesis that nothing moves, as the first. A hypothesis is sampled bilinearly
  /// at the patch's centre, scaled to this level; what is not finite is 0, and no component is longer than twice the
  /// flow's height and width together.
  ///
  /// The descent is that of Kroeger et al. (Fast Optical Flow using Dense Inverse Search, ECCV 2016) with colour and a
  /// gain: W are the pixels of `to` under the moved patch (bilinear) without their channels' means, T those of the
  /// template, n = 64 * 3, s = sqrt((T.T + 4n) / (W.W + 4n)) in 1/2..2; cost = |s W - T|^2, 0 below
  /// 4e-6 T.T; (u, v) -= H^-1 g.(s W - T).
  /// It ends where the cost rises by more than 4e-6 T.T. A step shorter than `stop` is shortened, to nothing at half of
  /// `stop`, where the descent ends: so rounding does not decide whether there is another one. Relative cost = min(1,
  /// cost / (T.T + n)); a patch goes back to where it started if that is 1.2 times `unlike` in the end or more, and
  /// part of the way if it is more than `unlike`.
  virtual void search_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                              std::span<const RealMatrix> hypotheses, bool zero, const SearchOptions& options,
                              RealMatrix found) = 0;

  /// patches (N x patch_cols) = for each patch the one of `count` candidates in `found` with the least r + support *
  /// mean(r), r the relative cost and its mean over the patches around. A later one must be better by 0.001: where two
  /// are the same, rounding does not choose.
  virtual void vote_patches(PatchGrid grid, RealMatrix templates, int count, const SearchOptions& options,
                            RealMatrix found, RealMatrix patches) = 0;

  /// out = patches, each after the offers of its left, right, upper and lower neighbour in `patches`, in that order:
  /// one that costs less than `better` times the own cost is adopted. Who adopted one descends.
  virtual void propagate_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                                 RealMatrix patches, const SearchOptions& options, RealMatrix out) = 0;

  /// exposure (1 x 8) = gains of R, G, B and 0, offsets of R, G, B and 0, so that channel means of moved patches in
  /// `to` are gain * mean in the template + offset: a line per channel through at most some thousand patches,
  /// reweighted four times by 1 / (4 + |residual|), its gain drawn towards 1 and kept in 0.3..3. A gain within 0.04 of
  /// 1 is 1 and an offset within 1 of 0 is 0, with a ramp up to twice that, so that frames of one exposure have exactly
  /// one, whatever single patches do.
  virtual void fit_exposure(const Image& to, PatchGrid grid, RealMatrix templates, RealMatrix patches,
                            RealMatrix exposure) = 0;

  /// flow (2*h x w, planar) = the mean of the motions of the patches over each pixel, weighted by (0.5 / max(|r|,
  /// 0.5))^2, |r| the mean over R, G, B of the difference between the pixel and the one it moves to, after `exposure`.
  /// sure (h x w), optional = the same mean of 0.25 / (0.25 + r^2). Texture is no part of it: a patch without any keeps
  /// its hypothesis, which is as good as what would be filled in.
  virtual void densify_patches(const Image& from, const Image& to, PatchGrid grid, RealMatrix templates,
                               RealMatrix patches, RealMatrix exposure, RealMatrix flow, RealMatrix sure) = 0;

  /// Cuts what `sure` (h x w) says of pixels that cannot be seen in the other frame: to a fifth where a pixel leaves
  /// the frame; where it moves to the place of another that is surer, by max(0.05, 10 r - 9), r its part of the surest.
  /// `best` (h x w) is scratch.
  virtual void find_covered(RealMatrix flow, RealMatrix sure, RealMatrix best) = 0;

  /// sure (h x w) *= 1 / (1 + d^2 / t^4), d the distance by which a pixel misses its place on the way back, F(x) + B(x
  /// + F(x)), and t = 1 + |F| / 20, both in pixels of level 0. B = back (2*h' x w', planar) is the flow from the other
  /// frame at level 1 (bilinear, edges held); `flow` is of level 1 or above, with `scale` pixels of level 1 per pixel.
  virtual void check_return(RealMatrix flow, RealMatrix back, float scale, RealMatrix sure) = 0;

  /// flow = each pixel's own motion, mixed with the mean motion around, which does not reach over edges of `image`:
  /// u' = k u + (1 - k) F(c u) / F(c), c = sure, k = c / (c + keep F(c)). F is the separable smoother of Min et al.
  /// (Fast Global Image Smoothing Based on Weighted Least Squares, IEEE TIP 2014): per pass, each row and then each
  /// column solves (1 + lambda sum w) F = f + lambda sum w F over its neighbours, w = exp(-|difference| / edge).
  /// `scratch` is 5*h x w.
  virtual void fill_flow(const Image& image, RealMatrix flow, RealMatrix sure, const FillOptions& options,
                         RealMatrix scratch) = 0;

  /// out (2*h x w) = `flow` after a variational step (Brox et al., High Accuracy Optical Flow Estimation Based on a
  /// Theory for Warping, ECCV 2004) on luma, `plane` of the images: brightness and gradient constancy, each normalised
  /// by the squared gradient plus 0.1^2 (Zimmer, Bruhn and Weickert, 2011), and the flow's smoothness, all under
  /// sqrt(. + 0.02^2); `to` is warped once. Data that leaves the frame does not count.
  virtual void refine_variational(const Image& from, const Image& to, int plane, RealMatrix flow,
                                  const VariationalOptions& options, RealMatrix out) = 0;

  /// measures (measure_count*h x w, planar) of a refined flow (2*H x W), from the images of level 1. F is the flow of
  /// level 1, half the mean of 2 x 2 motions; A are the pixels of `from`, W those of `to` at x + F (bilinear). Means
  /// are over windows of 5 x 5 pixels of level 1, with the edge repeated. In the order of the planes: 0. how unlike the
  /// frames are: the mean of |s (W - mean) - (A - mean)|^2, R, G and B added up, s = sqrt((var A +
  ///    12) / (var W + 12)) in 1/2..2, var the sum over the channels; scale 12
  /// 1. the squared mean of |W - gain A - offset|, mean of the channels, `exposure` as in fit_exposure; scale 4
  /// 2. texture: the smaller eigenvalue of the mean of g g^T, g the central differences of A's luma; scale 4
  /// 3. the variance of F, x and y added up; scale 0.05
  /// 4. the share of pixels whose motion leaves the frame; no scale
  /// 5. the mean of `sure` (h x w), as densify_patches and find_covered left it; no scale
  /// 6. |F|^2 at the pixel; scale 64
  /// 7. the mean of the squared distance by which a pixel misses its place on the way back, F + B(x + F), B the flow of
  ///    level 1 of `back` (2*H x W, optional; without it 0); scale 0.05
  virtual void measure_flow(const Image& from, const Image& to, RealMatrix exposure, RealMatrix sure, RealMatrix flow,
                            RealMatrix back, RealMatrix measures) = 0;

  /// confidence (any size) = the probabilities of `measures` by `weights`, computed in `rated` (h x w) and then
  /// resized: pixel x of the result lies at (x + 1/2) * scale - 1/2 (bilinear, edges held).
  virtual void rate_flow(RealMatrix measures, const ConfidenceWeights& weights, RealMatrix rated, float scale_down,
                         float scale_across, RealMatrix confidence) = 0;

  /// out (2*H x W) = twice `flow` (2*h x w) at twice the size, bilinear; H is 2h or 2h + 1, W is 2w or 2w + 1.
  virtual void double_flow(RealMatrix flow, RealMatrix out) = 0;

  /// out (2*H x W) = `flow`; near motion edges, u and v are each the weighted median of the pixel's window (Sun, Roth
  /// and Black, Secrets of Optical Flow Estimation and Their Principles, CVPR 2010). A neighbour d pixels away has the
  /// weight exp(-(|dY| + (|dR| + |dG| + |dB|) / 3) / color - d^2 / (2 distance^2)) * max(sure, least). Y is the luma of
  /// `image`, level 0; R, G, B and `sure` (h x w) are those of `half`, level 1, at half the place; differences are to
  /// the pixel itself. Edges of the frame are repeated. A pixel with motion F is near a motion edge if |F - G|^2 >
  /// step^2 + share^2 |F|^2, G the motion sharpen_reach pixels to the left, right, above or below.
  virtual void sharpen_edges(const Image& image, const Image& half, RealMatrix flow, RealMatrix sure,
                             const SharpenOptions& options, RealMatrix out) = 0;
};

}  // namespace flow
