// All matrix products of the network except attention's: out (m x n) = epilogue(A B^T + bias). A (m x k) are tokens or
// pixels, B (n x k) are weights. Both are row-major, in float32, float16 or bfloat16. Accumulators, bias and epilogues
// are float32. gemm.h names the epilogues and the layouts that they write.
//
//   gemm_core.cuh       the main loop: slices of 64 bytes of k in a ring buffer in shared memory
//   gemm_sources.cuh    the sources of A: rows; float32 rows, rounded on the way; im2col rows of a 3x3 convolution
//   row_moments.cuh     mean and variance of rows, for the norms that are parts of products
//   gemm_epilogues.cuh  the epilogues, applied to the accumulators in registers
//
// A product takes 2 m n k FLOPs and moves at least s (m k + n k) + s' m n bytes, where s and s' are the bytes of an
// operand's and of a result's element. A ViT-S block's 1605 x 1536 x 384 product is 1.9 GFLOP and 7.3 MB in float16:
// 260 FLOPs a byte, and all of it fits a GPU's L2. The limit is how fast the tensor cores are fed. Per 64 bytes of k, a
// block of 128 x 128 reads 16 KiB for 2^20 FLOPs, 64 a byte; a block of 64 x 64 reaches half of that, one of 256 x 192
// 110. So tiles are large where they fill the GPU, and small where a few large ones would leave multiprocessors idle.
// The host chooses. A warp's part matters as much. Of 64 x 96, in the widest blocks, it reads 107 bytes of shared
// memory for each mma, of 64 x 64, in a block of 128 x 128, 128, of 32 x 64 192, of 32 x 32, in a block of 64 x 64,
// 256. The copies to shared memory add 37 to 128. In the two cycles of an mma, shared memory delivers 256.
//
// A part of 64 x 96 takes 192 of a thread's 255 registers for accumulators. SwiGLU's epilogue fits beside them, because
// it loads nothing. Those of `add` and `qkv` spilled, or they waited for one load after the other. The other products
// have no wide tiles because each tile adds about 10 KB of machine code to every image, packed.
//
// Where the weights are much of L2 or exceed it, the blocks of a few columns run first, then those of the next:
// otherwise what streams through L2 evicts weights, and every row of blocks reads them from memory again.
//
// mma.m16n8k16 with cp.async runs on everything from compute capability 8.0 on. One thread holds both columns that
// SwiGLU and RoPE combine, because the weights' rows are ordered for these fragments. Two or three blocks per
// multiprocessor hide each other's barriers and epilogues. float32 takes the same path with exact FMAs. It
// serves for comparison, and for GPUs that have nothing better.

#include "gemm_epilogues.cuh"
#include "gemm_sources.cuh"

namespace flow::kernels {

template <class Block, class A, class E>
DEVICE void gemm(const GemmParams& p) {
  SHARED_MEMORY(typename Block::T, shared);
  A a(p);
  RowSource<Block, Block::cols> b(p.b, p.ldb, Block::col_block() * Block::cols, ceil_div(p.n, 64) * 64, p.k);
  typename Block::Accumulators acc = {};
  if constexpr (E::normalises) {
    auto* const norms = reinterpret_cast<float2*>(shared + Block::stages * Block::stage);
    multiply<Block>(a, b, p.k, shared, acc, [&] { combine_moments<Block>(p, norms); });
    normalise<Block>(p, norms, acc);
  } else {
    multiply<Block>(a, b, p.k, shared, acc);
    add_bias<Block>(p, acc);
  }

  E epilogue(p);
  epilogue.begin(shared);
  run_epilogue<Block>(p, acc, epilogue);
  epilogue.done(shared);
}

/// The one of gemm_tiles with that size.
constexpr GemmTile tile_of(int rows, int cols) {
  int i = 0;
  while (gemm_tiles[i].rows != rows || gemm_tiles[i].cols != cols) i++;
  return gemm_tiles[i];
}
constexpr GemmTile tile_128x128 = tile_of(128, 128), tile_128x64 = tile_of(128, 64), tile_64x64 = tile_of(64, 64);

// Blocks per multiprocessor that the registers must suffice for. Registers set their number where a multiprocessor has
// 164 KiB of shared memory or more, and shared memory elsewhere: a block takes 48, 36 or 32 KiB, a wide one 84 or 60.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int blocks_128x128 = 1, blocks_128x64 = 1, blocks_64x64 = 2;
#else
#define WIDE_TILES
constexpr GemmTile tile_256x192 = tile_of(256, 192), tile_128x192 = tile_of(128, 192);
constexpr int blocks_256x192 = 1, blocks_128x192 = 2;
constexpr int blocks_128x128 = 2, blocks_128x64 = 3, blocks_64x64 = 3;
#endif

#define GEMM(OP, A, EPILOGUE, TYPE, T, TILE)                                            \
  KERNEL(gemm_##OP##_##TYPE##_##TILE, GemmParams, tile_##TILE.threads, blocks_##TILE) { \
    using Block = GemmBlock<T, tile_##TILE>;                                            \
    gemm<Block, A<Block>, EPILOGUE<Block>>(p);                                          \
  }
#define GEMMS(TYPE, T, TILE)                    \
  GEMM(embed, Rows, Embed, TYPE, T, TILE)       \
  GEMM(add, Rows, Add, TYPE, T, TILE)           \
  GEMM(gelu, Rows, Gelu, TYPE, T, TILE)         \
  GEMM(swiglu, Rows, Swiglu, TYPE, T, TILE)     \
  GEMM(qkv, Rows, Qkv, TYPE, T, TILE)           \
  GEMM(silu, Rows, SiluSqueeze, TYPE, T, TILE)  \
  GEMM(project, FloatRows, Silu, TYPE, T, TILE) \
  GEMM(conv3x3, Im2col, Relu, TYPE, T, TILE)

GEMMS(f16, __half, 128x128)
GEMMS(f16, __half, 128x64)
GEMMS(f16, __half, 64x64)
GEMMS(bf16, __nv_bfloat16, 128x128)
GEMMS(bf16, __nv_bfloat16, 128x64)
GEMMS(bf16, __nv_bfloat16, 64x64)
GEMMS(f32, float, 64x64)
#ifdef WIDE_TILES
GEMM(swiglu, Rows, Swiglu, f16, __half, 256x192)
GEMM(swiglu, Rows, Swiglu, f16, __half, 128x192)
GEMM(swiglu, Rows, Swiglu, bf16, __nv_bfloat16, 256x192)
GEMM(swiglu, Rows, Swiglu, bf16, __nv_bfloat16, 128x192)
#endif

}  // namespace flow::kernels
