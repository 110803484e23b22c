// The pyramid of a frame, in 0..255 as float32: luma of the frame at the size of level 0, then from level 1 on the
// means of 2 x 2 pixels of the level below, in R, G, B and luma. A pixel of a border is computed as the pixel of the
// edge that it repeats: no pixel waits for another one of its level.
//
// A frame of another size is resized by a triangle filter, as wide as a pixel of the larger one. Its weights are
// integers: in units of 1 / (2 to) source pixels, pixel j is |(2j + 1) to - (2i + 1) from| away from the centre of
// pixel i, and the filter reaches 2 max(from, to). So they are exact without double precision, and need no table.
//
// Level 0 reads 1 to 4 bytes a pixel and writes 4, level 1 reads the frame again and writes 16: 1920 x 1080 of RGB is
// 12.4 MB in, half of it from L2, and 19 MB out with all levels. Memory limits it. A resize to a third reads 36
// pixels for each of its own, which neighbours share in L1. There the filter's instructions are the limit.

#include "image_pyramid.h"

#include "frame_pixel.cuh"
#include "image.cuh"

namespace flow::kernels {

struct Color {
  float red, green, blue;

  DEVICE void add(float weight, const Color& color) {
    red += weight * color.red, green += weight * color.green, blue += weight * color.blue;
  }
  DEVICE Color divided(float by) const { return {red / by, green / by, blue / by}; }
  DEVICE float luma() const { return 0.299F * red + 0.587F * green + 0.114F * blue; }
};

/// The source pixels of a resized pixel along one axis.
class TriangleFilter {
 public:
  DEVICE TriangleFilter(int index, int from, int to) : step_(2 * to), reach_(2 * max(from, to)) {
    const long long centre = (2LL * index + 1) * from;
    first = static_cast<int>(max(0LL, (centre - reach_ + to) / step_));
    end = static_cast<int>(min(static_cast<long long>(from), (centre + reach_ + to - 1) / step_));
    distance_ = static_cast<int>((2LL * first + 1) * to - centre);  // of `first`
  }
  /// Of source pixel `at` between `first` and `end`; the weights' sum is not 1.
  DEVICE float weight(int at) const {
    return static_cast<float>(max(0, reach_ - abs(distance_ + (at - first) * step_)));
  }

  int first, end;

 private:
  int step_, reach_, distance_;
};

/// Level 0 in colour: the frame, resized if it has another size. Only its luma is ever stored.
template <class Reader>
class FirstLevel {
 public:
  DEVICE FirstLevel(const PyramidFrameParams& params, const Reader& reader) : p_(params), read_(reader) {}

  DEVICE Color operator()(int y, int x) const {
    if (p_.frame.height == p_.height && p_.frame.width == p_.width) return source(y, x);
    const TriangleFilter across(x, p_.frame.width, p_.width), down(y, p_.frame.height, p_.height);
    Color sum{};
    float weights_across = 0, weights_down = 0;
    for (int i = across.first; i < across.end; i++) weights_across += across.weight(i);
    for (int j = down.first; j < down.end; j++) {
      Color row{};
      for (int i = across.first; i < across.end; i++) row.add(across.weight(i), source(j, i));
      sum.add(down.weight(j), row.divided(weights_across));
      weights_down += down.weight(j);
    }
    return sum.divided(weights_down);
  }

 private:
  DEVICE Color source(int y, int x) const {
    const Pixel pixel = read_(y, x);
    return {static_cast<float>(pixel.channel[0]), static_cast<float>(pixel.channel[1]),
            static_cast<float>(pixel.channel[2])};
  }

  const PyramidFrameParams& p_;
  const Reader& read_;
};

/// A thread's pixel, which may be one of the border.
struct PyramidPixel {
  int x, y;

  DEVICE PyramidPixel()
      : x(static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) - ImageView::border),
        y(static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y) - ImageView::border) {}
  DEVICE bool exists(const ImageView& image) const {
    return x < image.width + ImageView::border && y < image.height + ImageView::border;
  }
};

template <class Reader>
DEVICE void pyramid_luma(const PyramidFrameParams& p, const Reader& reader, const PyramidPixel& pixel) {
  const FirstLevel<Reader> level(p, reader);
  *pixel_of(p.to, 0, pixel.y, pixel.x) =
      level(nearest_inside(pixel.y, p.to.height), nearest_inside(pixel.x, p.to.width)).luma();
}

template <class Reader>
DEVICE void pyramid_half(const PyramidFrameParams& p, const Reader& reader, const PyramidPixel& pixel) {
  const FirstLevel<Reader> level(p, reader);
  const int top = 2 * nearest_inside(pixel.y, p.to.height), left = 2 * nearest_inside(pixel.x, p.to.width);
  Color mean{};
  for (int i = 0; i < 4; i++) mean.add(0.25F, level(top + i / 2, left + i % 2));
  const float values[] = {mean.red, mean.green, mean.blue, mean.luma()};
  for (int plane = 0; plane < 4; plane++) *pixel_of(p.to, plane, pixel.y, pixel.x) = values[plane];
}

KERNEL(pyramid_luma, PyramidFrameParams, 256, 1) {
  const PyramidPixel pixel;
  if (!pixel.exists(p.to)) return;
  if (p.frame.to_rgb.luma != 0) {
    pyramid_luma(p, YuvReader{p.frame}, pixel);
  } else {
    pyramid_luma(p, PackedReader{p.frame}, pixel);
  }
}

KERNEL(pyramid_half, PyramidFrameParams, 256, 1) {
  const PyramidPixel pixel;
  if (!pixel.exists(p.to)) return;
  if (p.frame.to_rgb.luma != 0) {
    pyramid_half(p, YuvReader{p.frame}, pixel);
  } else {
    pyramid_half(p, PackedReader{p.frame}, pixel);
  }
}

KERNEL(pyramid_next, PyramidNextParams, 256, 1) {
  const PyramidPixel pixel;
  if (!pixel.exists(p.to)) return;
  const int top = 2 * nearest_inside(pixel.y, p.to.height), left = 2 * nearest_inside(pixel.x, p.to.width);
  for (int plane = 0; plane < 4; plane++) {
    const float *upper = pixel_of(p.from, plane, top, left), *lower = upper + p.from.stride;
    *pixel_of(p.to, plane, pixel.y, pixel.x) = 0.25F * (upper[0] + upper[1] + lower[0] + lower[1]);
  }
}

}  // namespace flow::kernels
