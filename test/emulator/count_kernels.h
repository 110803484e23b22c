#pragma once

// Parameters of count_kernels.cu: kernels whose counts are known by hand.

struct CountParams {
  float* out;
  const float* in;
  int stride;      // in floats, between neighbouring lanes, or what a kernel says
  int offset;      // in floats, of all of them
  int times;       // repetitions
  int unused = 0;  // no padding: equal launches have equal bytes
};
