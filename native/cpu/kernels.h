#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ops/ops.h"

// The boundary between the portable half of the CPU engine and the files of isa/, which are compiled for one
// instruction set each. What crosses it is plain data: a job that describes a whole stage, and a function that does one
// item of it.

namespace flow::cpu {

/// Floats of the widest panel of any instruction set. Matrices and per-channel values are padded to it, so that kernels
/// read and write whole vectors.
constexpr int widest_panel = 32;

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }

/// Where a GEMM's rows come from.
enum class Rows {
  plain,    // row m of `a`
  conv3x3,  // the 3x3 neighbours of pixel m, tap by tap: K = 9 * cols, zero outside the map (implicit GEMM)
};

/// What happens to a tile of sums before it is stored.
enum class Epilogue {
  store,   // out = y (+ base)
  add,     // out += y
  silu,    // out = silu(y)
  gelu,    // out = gelu(y)
  relu,    // out = max(y, 0)
  swiglu,  // out = silu(first vector of the panel) * second
  qkv,     // rotate and store in attention's layout
};

/// Weights of a GEMM, cut into panels of `panel` = 2 * lanes columns: panels x k x panel, then zero-padded. A
/// micro-kernel reads one panel front to back while `panel` columns of the result stay in registers.
struct Panels {
  const float* data;
  const float* bias;  // count x panel
  int count;
  int k;
};

/// q: heads x tokens x head_dim, scaled by log2(e) / sqrt(head_dim). k: heads x panels of `panel` tokens x head_dim x
/// panel. v: heads x panels of `panel` channels x tokens x panel. k and v are then the panels of attention's two GEMMs.
struct QkvLayout {
  AttentionShape shape;
  int token_panels;
  int channel_panels;
  float* q;
  float* k;
  float* v;
  const float* cos;  // patches x head_dim / 2
  const float* sin;
};

/// out (m x n) = epilogue(rows x weights). One item is `block` rows and `panels_per_item` panels.
struct GemmJob {
  Rows rows;
  Epilogue epilogue;
  const float* a;
  int lda;
  int m;
  int cols;  // columns of `a`; k of the weights is cols, or 9 * cols for a convolution
  Grid grid;
  const float* zeros;  // `cols` zeros, for the outside of the map
  Panels weights;
  float* out;
  int ldo;
  int first_row;  // of the rows in `out`: 0, but where an item writes to scratch
  const float* base;
  int ld_base;
  QkvLayout qkv;
  int block;
  int blocks;
  int panels_per_item;
  int items;
};

/// One item is one head and `block` queries.
struct AttentionJob {
  QkvLayout qkv;
  float* out;
  int ldo;
  int block;
  int blocks;
};

struct NormJob {
  const float* x;
  int ldx;
  int cols;
  const float* gamma;
  const float* beta;
  float epsilon;
  float* out;
  int ldo;
};

/// One item is one row of the map.
struct DepthwiseJob {
  const float* in;
  int ldi;
  int cols;
  const float* scale;
  const float* extra;
  int ld_extra;
  int extra_cols;
  Grid grid;
  const float* weights;  // 9 x ldw
  int ldw;
  float* out;
  int ldo;
};

/// One item is one row of the map.
struct CorrelationJob {
  const float* a;
  int lda;
  const float* b;
  int ldb;
  int cols;
  Grid grid;
  int radius;
  float* out;
  int ldo;
};

/// One item is `gemm.block` pixels: their mask, then their upsampled flow.
struct UpsampleJob {
  GemmJob gemm;  // without `out`: the mask goes to scratch
  const float* flow;
  int ld_flow;
  int up;
  float* out_x;  // H*up rows, `ldo` apart
  float* out_y;
  int ldo;
};

/// What one instruction set offers. Items are independent; `scratch` belongs to the calling thread.
struct Kernels {
  const char* name;
  int lanes;      // floats in a vector
  int tile_rows;  // rows of a micro-kernel's tile
  void (*gemm)(const GemmJob&, int item);
  std::size_t (*attention_scratch)(const AttentionJob&);  // floats
  void (*attention)(const AttentionJob&, int item, float* scratch);
  void (*layer_norm)(const NormJob&, int row);
  void (*depthwise)(const DepthwiseJob&, int y);
  void (*correlation)(const CorrelationJob&, int y);
  std::size_t (*upsample_scratch)(const UpsampleJob&);
  void (*upsample)(const UpsampleJob&, int item, float* scratch);
  /// Does steps * lanes * 2 * 2 * tile_rows operations in registers; the fastest that this instruction set can multiply
  /// and add.
  float (*multiply_add)(long steps, float a, float b);
};

/// The instruction sets compiled into this binary that this machine can run, best first. The last one is always there.
/// Those whose name ends in "-split" are a wide set's kernels on narrower registers: slower, for tests of its logic.
std::span<const Kernels* const> runnable_kernels();

/// The set of that name; the best one if the name is empty. Throws Error(device) if the machine cannot run it.
const Kernels& find_kernels(std::string_view name);

}  // namespace flow::cpu
