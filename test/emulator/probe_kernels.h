#pragma once

// Parameters of probe_kernels.cu: small kernels, each of which has one bug on request.

struct ProbeParams {
  float* out;
  const float* in;
  int n;    // elements of in and of out
  int bug;  // whether to make the mistake
};

struct TensorParams {
  const void* a;  // 16 x 16
  const void* b;  // 16 x 8, or 8 x 16 if it is transposed
  float* d;       // 16 x 8
};
