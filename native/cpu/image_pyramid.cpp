#include "cpu/image_pyramid.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/preprocess.h"
#include "cpu/refine_kernels.h"

namespace flow::cpu {

namespace {

float luma(float red, float green, float blue) { return 0.299F * red + 0.587F * green + 0.114F * blue; }

void repeat_ends(float* row, int width) {
  std::fill(row - image_border, row, row[0]);
  std::fill(row + width, row + width + image_border, row[width - 1]);
}

/// Rows above and below the image, of all planes.
void repeat_rows(const Image& image, int planes) {
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(image.width + 2 * image_border);
  for (int p = 0; p < planes; p++) {
    const Plane plane = plane_of(image, p);
    for (int i = 1; i <= image_border; i++) {
      std::memcpy(plane.row(-i) - image_border, plane.row(0) - image_border, bytes);
      std::memcpy(plane.row(image.height - 1 + i) - image_border, plane.row(image.height - 1) - image_border, bytes);
    }
  }
}

/// Row y of a level from the two rows below it.
void halve_row(const Image& from, const Image& to, int y) {
  for (int c = 0; c < 4; c++) {
    const float *upper = plane_of(from, c).row(2 * y), *lower = plane_of(from, c).row(2 * y + 1);
    float* row = plane_of(to, c).row(y);
    for (int x = 0; x < to.width; x++) {
      row[x] = 0.25F * (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1]);
    }
    repeat_ends(row, to.width);
  }
}

}  // namespace

void ImagePyramid::find_taps(int from, int to, std::vector<Taps>& taps) {
  taps.resize(static_cast<std::size_t>(to));
  const double scale = static_cast<double>(from) / to, reach = std::max(1.0, scale);
  for (int i = 0; i < to; i++) {
    const double centre = (i + 0.5) * scale;
    Taps& tap = taps[static_cast<std::size_t>(i)];
    const int first = std::max(0, static_cast<int>(std::floor(centre - reach)));
    const int end = std::min(from, static_cast<int>(std::ceil(centre + reach)));
    tap.first = first;
    tap.weights.resize(static_cast<std::size_t>(end - first));
    double sum = 0;
    for (int j = first; j < end; j++) sum += std::max(0.0, 1 - std::abs(j + 0.5 - centre) / reach);
    for (int j = first; j < end; j++) {
      tap.weights[static_cast<std::size_t>(j - first)] =
          static_cast<float>(std::max(0.0, 1 - std::abs(j + 0.5 - centre) / reach) / sum);
    }
  }
}

void ImagePyramid::plan(const Frame& frame, const Image& image, int threads) {
  if (frame.width == from_width_ && frame.height == from_height_ && image.height == height_ && image.width == width_) {
    return;
  }
  from_width_ = 0;  // no plan is valid if an allocation below throws
  const bool resized = frame.width != image.width || frame.height != image.height;
  if (resized) {
    find_taps(frame.width, image.width, across_);
    find_taps(frame.height, image.height, down_);
  } else {
    across_.clear(), down_.clear();
  }
  buffers_.resize(static_cast<std::size_t>(threads));
  for (RowBuffers& buffers : buffers_) {
    buffers.bytes.resize(3 * static_cast<std::size_t>(frame.width));
    for (auto& rgb : buffers.rgb) rgb.resize(3 * static_cast<std::size_t>(image.width));
  }
  from_width_ = frame.width, from_height_ = frame.height, width_ = image.width, height_ = image.height;
}

/// Row y of level 0, interleaved.
void ImagePyramid::read_row(const Frame& frame, int y, std::vector<std::uint8_t>& bytes,
                            std::vector<float>& rgb) const {
  if (across_.empty()) {
    read_rgb_row(frame, y, bytes.data());
    std::copy(bytes.begin(), bytes.end(), rgb.begin());
    return;
  }
  std::ranges::fill(rgb, 0.F);
  const Taps& down = down_[static_cast<std::size_t>(y)];
  for (std::size_t j = 0; j < down.weights.size(); j++) {
    read_rgb_row(frame, down.first + static_cast<int>(j), bytes.data());
    for (std::size_t x = 0; x < across_.size(); x++) {
      const Taps& taps = across_[x];
      float sum[3] = {};
      for (std::size_t i = 0; i < taps.weights.size(); i++) {
        const std::uint8_t* pixel = bytes.data() + 3 * (static_cast<std::size_t>(taps.first) + i);
        for (std::size_t c = 0; c < 3; c++) sum[c] += taps.weights[i] * static_cast<float>(pixel[c]);
      }
      for (std::size_t c = 0; c < 3; c++) rgb[3 * x + c] += down.weights[j] * sum[c];
    }
  }
}

/// Rows 2 * pair and 2 * pair + 1 of level 0, and row `pair` of level 1.
void ImagePyramid::first_levels(const Frame& frame, std::span<const Image> levels, int pair,
                                RowBuffers& buffers) const {
  const Plane plane = plane_of(levels[0], 0);
  for (int i = 0; i < 2 && 2 * pair + i < height_; i++) {
    std::vector<float>& rgb = buffers.rgb[i];
    read_row(frame, 2 * pair + i, buffers.bytes, rgb);
    float* row = plane.row(2 * pair + i);
    for (int x = 0; x < width_; x++) row[x] = luma(rgb[3 * x], rgb[3 * x + 1], rgb[3 * x + 2]);
    repeat_ends(row, width_);
  }
  if (levels.size() == 1 || pair >= levels[1].height) return;
  const float *upper = buffers.rgb[0].data(), *lower = buffers.rgb[1].data();
  float* rows[4];
  for (int c = 0; c < 4; c++) rows[c] = plane_of(levels[1], c).row(pair);
  for (int x = 0; x < levels[1].width; x++, upper += 6, lower += 6) {
    float mean[3];
    for (int c = 0; c < 3; c++) {
      mean[c] = 0.25F * (upper[c] + upper[c + 3] + lower[c] + lower[c + 3]);
      rows[c][x] = mean[c];
    }
    rows[3][x] = luma(mean[0], mean[1], mean[2]);
  }
  for (float* row : rows) repeat_ends(row, levels[1].width);
}

void ImagePyramid::build(ThreadPool& pool, const Frame& frame, std::span<const Image> levels) {
  plan(frame, levels[0], pool.size());
  pool.run((height_ + 1) / 2, [&](int pair, int thread) {
    first_levels(frame, levels, pair, buffers_[static_cast<std::size_t>(thread)]);
  });
  for (std::size_t l = 2; l < levels.size(); l++) {
    pool.run(levels[l].height, [&](int y, int /*thread*/) { halve_row(levels[l - 1], levels[l], y); });
  }
  pool.run(static_cast<int>(levels.size()),
           [&](int l, int /*thread*/) { repeat_rows(levels[static_cast<std::size_t>(l)], Image::planes_of(l)); });
}

}  // namespace flow::cpu
