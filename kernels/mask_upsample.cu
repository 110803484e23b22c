// Convex upsampling (Teed & Deng, RAFT, 2020). mask = scale * in W^T + bias, with a softmax over its 9 taps. A
// subpixel's flow is `up` times the mean of the 3x3 neighbouring flows, weighted by the softmax.
//
// A block computes 16 subpixels of 64 pixels with the main loop of the GEMMs (gemm_core.cuh): 64 rows of `in` by 9 x 16
// rows of `weights`. The weights are ordered so that a warp's nine tiles of eight columns are the nine taps of eight
// subpixels. So tile j of a thread's accumulators is tap j. One thread holds all nine taps of a subpixel, and the
// softmax needs neither shuffles nor shared memory.
//
// A pixel takes 18 up^2 k FLOPs and writes 8 up^2 bytes. With k = 128 that is 288 FLOPs a byte, so the tensor cores are
// the limit. The mask would be 36 up^2 bytes a pixel in float32, more than four times the result. It is never written:
// this is why it is not a GEMM and a softmax.

#include "mask_upsample.h"

#include "gemm_core.cuh"

namespace flow::kernels {

constexpr int mask_taps = 9;
constexpr GemmTile mask_tile = {mask_rows, mask_taps* mask_subpixels, mask_threads, mask_stages};
static_assert(gemm_shared_bytes(mask_tile, 2) == mask_shared_bytes(2));
static_assert(gemm_shared_bytes(mask_tile, 4) == mask_shared_bytes(4));

/// The flow of a pixel's 3x3 neighbours, row by row; zero outside the map.
DEVICE void load_neighbours(const MaskUpsampleParams& p, int y, int x, float2 (&flow)[mask_taps]) {
#pragma unroll
  for (int tap = 0; tap < mask_taps; tap++) {
    const int ny = y + tap / 3 - 1, nx = x + tap % 3 - 1;
    const bool inside = ny >= 0 && ny < p.height && nx >= 0 && nx < p.width;
    const std::ptrdiff_t pixel = static_cast<std::ptrdiff_t>(ny) * p.width + nx;
    flow[tap] = inside ? *reinterpret_cast<const float2*>(p.flow + pixel * p.ld_flow) : make_float2(0.F, 0.F);
  }
}

/// The mean of `flow`, weighted by the softmax of `logits`.
DEVICE float2 convex_combination(const float (&logits)[mask_taps], const float2 (&flow)[mask_taps]) {
  float max_logit = logits[0];
#pragma unroll
  for (int tap = 1; tap < mask_taps; tap++) max_logit = fmaxf(max_logit, logits[tap]);
  float weight_sum = 0.F;
  float2 sum = make_float2(0.F, 0.F);
#pragma unroll
  for (int tap = 0; tap < mask_taps; tap++) {
    const float weight = __expf(logits[tap] - max_logit);
    weight_sum += weight;
    sum.x = fmaf(weight, flow[tap].x, sum.x);
    sum.y = fmaf(weight, flow[tap].y, sum.y);
  }
  const float scale = 1.F / weight_sum;
  return make_float2(sum.x * scale, sum.y * scale);
}

template <class T>
DEVICE void mask_upsample(const MaskUpsampleParams& p) {
  using Block = GemmBlock<T, mask_tile>;
  static_assert(Block::col_tiles == mask_taps);
  const int pixels = p.height * p.width, up = p.up;

  SHARED_MEMORY(T, shared);
  RowSource<Block, Block::rows> a(p.in, p.ldi, static_cast<int>(blockIdx.y) * Block::rows, pixels, p.k);
  RowSource<Block, Block::cols> b(p.weights, p.ldw, static_cast<int>(blockIdx.x) * Block::cols,
                                  static_cast<int>(gridDim.x) * Block::cols, p.k);
  typename Block::Accumulators acc = {};
  multiply<Block>(a, b, p.k, shared, acc);

  const int column = Block::first_b_row();
#pragma unroll
  for (int tap = 0; tap < mask_taps; tap++) {
    const float2 bias = *reinterpret_cast<const float2*>(p.bias + column + 8 * tap);
#pragma unroll
    for (int i = 0; i < Block::row_tiles; i++) {
      float(&logits)[4] = acc[i][tap];
      logits[0] = fmaf(logits[0], p.scale, bias.x), logits[1] = fmaf(logits[1], p.scale, bias.y);
      logits[2] = fmaf(logits[2], p.scale, bias.x), logits[3] = fmaf(logits[3], p.scale, bias.y);
    }
  }
#pragma unroll
  for (int i = 0; i < 2 * Block::row_tiles; i++) {
    const int pixel = Block::first_row() + 8 * i;
    if (pixel >= pixels) continue;
    const int y = pixel / p.width, x = pixel % p.width;
    float2 flow[mask_taps];
    load_neighbours(p, y, x, flow);
#pragma unroll
    for (int j = 0; j < 2; j++) {
      const int subpixel = column / (8 * mask_taps) * 8 + column % 8 + j;
      if (subpixel >= up * up) continue;
      float logits[mask_taps];
#pragma unroll
      for (int tap = 0; tap < mask_taps; tap++) logits[tap] = acc[i / 2][tap][i % 2 * 2 + j];
      const float2 mean = convex_combination(logits, flow);
      report_unless_finite(mean.x, mean.y, p.excess);
      const int sub_y = subpixel / up, sub_x = subpixel % up;
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(y * up + sub_y) * p.ldo + x * up + sub_x;
      p.out_x[at] = mean.x * static_cast<float>(up);
      p.out_y[at] = mean.y * static_cast<float>(up);
    }
  }
}

KERNEL(mask_upsample_f32, MaskUpsampleParams, mask_threads, 2) { mask_upsample<float>(p); }
KERNEL(mask_upsample_f16, MaskUpsampleParams, mask_threads, 3) { mask_upsample<__half>(p); }
KERNEL(mask_upsample_bf16, MaskUpsampleParams, mask_threads, 3) { mask_upsample<__nv_bfloat16>(p); }

}  // namespace flow::kernels
