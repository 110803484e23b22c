/* The parameters of the kernel in nearest.cu, which nearest.c gives it. */
#ifndef NEAREST_H_
#define NEAREST_H_

#include <stdint.h>

struct nearest_parameters {
  const float* features;       /* of `patches` patches: `dim` values each, `step` values from one to the next */
  const float* known;          /* of `known_patches` patches, likewise */
  const uint8_t* known_labels; /* one for each known patch */
  uint8_t* labels;             /* one for each patch */
  int32_t patches, known_patches, dim, step;
};

#endif
