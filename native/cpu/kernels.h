#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "cpu/label_kernels.h"
#include "cpu/refine_kernels.h"
#include "ops/ops.h"

// The boundary between the portable part of the CPU engine and the files of isa/, each of which is compiled for one
// instruction set. Only plain data crosses it: a job that describes a whole stage, and a function that computes one
// item of that job.

namespace flow::cpu {

/// Floats in the widest panel of any instruction set. Matrices and per-channel values are padded to a multiple of it,
/// so that kernels read and write whole vectors.
constexpr int widest_panel = 32;

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }

/// The rows of a GEMM's left operand.
enum class Rows {
  plain,    // row m of `a`
  conv3x3,  // im2col row of pixel m: its 3x3 neighbours, tap by tap, K = 9 * cols, zero outside the map (implicit GEMM)
};

/// Applied to a tile of accumulators before it is stored.
enum class Epilogue {
  store,   // out = y (+ base)
  add,     // out += y
  silu,    // out = silu(y)
  gelu,    // out = gelu(y)
  relu,    // out = max(y, 0)
  swiglu,  // out = silu(first vector of the panel) * second vector
  qkv,     // rotate and store in attention's layout
};

/// Weights of a GEMM in panels of `panel` = 2 * lanes columns: panels x k x panel, padded with zeros. The micro-kernel
/// reads a panel from front to back while `panel` columns of the result stay in registers.
struct Panels {
  const float* data;
  const float* bias;  // count x panel
  int count;
  int k;
};

/// q: heads x tokens x head_dim, scaled by log2(e) / sqrt(head_dim). k: heads x panels of `panel` tokens x head_dim x
/// panel. v: heads x panels of `panel` channels x tokens x panel. So k and v are already the panels of attention's two
/// GEMMs.
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

/// out (m x n) = epilogue(rows x weights). One item is `block` rows x `panels_per_item` panels.
struct GemmJob {
  Rows rows;
  Epilogue epilogue;
  const float* a;
  int lda;
  int m;
  int cols;  // columns of `a`; k of the weights is cols, or 9 * cols for a convolution
  Grid grid;
  const float* zeros;  // `cols` zeros, read outside the map
  Panels weights;
  float* out;
  int ldo;
  int first_row;  // result row that `out` begins with: 0, except for an item that writes to scratch
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

/// The kernels of one instruction set. Items are independent; `scratch` belongs to the calling thread.
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
  /// Runs steps * lanes * 2 * 2 * tile_rows floating-point operations in registers, at the highest rate at which this
  /// instruction set can multiply and add.
  float (*multiply_add)(long steps, float a, float b);
  RefineKernels refine;
  LabelKernels labels;
};

/// The instruction sets that are compiled into this binary and that this machine can run, best first. Every machine can
/// run the last one. A name that ends in "-split" means a wide set's kernels on narrower registers: slower, for tests
/// of their logic.
std::span<const Kernels* const> runnable_kernels();

/// The set of that name; the best one if the name is empty. Throws Error(device) if the machine cannot run it.
const Kernels& find_kernels(std::string_view name);

}  // namespace flow::cpu
