#pragma once

// Levels of a pyramid whose pixels a test makes up.

#include <limits>

#include "every_engine.h"
#include "reference_patches.h"

namespace flow {

/// R, G, B and, if the picture has a fourth plane, luma. Otherwise luma is NaN: no patch reads it.
inline Image image_of(Bench& b, const reference::Picture& picture) {
  Image image{picture.height, picture.width, {}};
  const int rows = picture.height + 2 * image_border, cols = picture.width + 2 * image_border;
  const std::size_t planes = picture.v.size() / picture.width / picture.height;
  Values values;
  for (int c = 0; c < 4; c++) {
    for (int i = 0; i < rows * cols; i++) {
      values.push_back(static_cast<std::size_t>(c) >= planes
                           ? std::numeric_limits<float>::quiet_NaN()
                           : static_cast<float>(picture.at(c, i / cols - image_border, i % cols - image_border)));
    }
  }
  image.planes = b.matrix<Real>(4 * rows, cols, values);
  return image;
}

}  // namespace flow
