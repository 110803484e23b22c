#pragma once

#include "frame.h"
#include "image.h"

// Parameters of image_pyramid.cu: pyramid_luma makes level 0, pyramid_half level 1, pyramid_next each further level. A
// thread computes one pixel of `to`, or of the border around it, in all planes. The block is 32 x 8, the grid
// (ceil((to.width + 2 * border) / 32), ceil((to.height + 2 * border) / 8)).

namespace flow::kernels {

struct PyramidFrameParams {
  FrameView frame;
  int height, width;  // of level 0
  ImageView to;
};

struct PyramidNextParams {
  ImageView from;  // the level below
  ImageView to;
};

}  // namespace flow::kernels
