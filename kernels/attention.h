#pragma once

#include <span>

#include "layouts.h"

// Parameters of attention.cu: attention_TYPE_HD_QUERIES, TYPE f32, f16 or bf16, HD the padded head size 32, 64 or 128,
// QUERIES those of a block.
// The grid is (ceil(tokens / QUERIES), heads, splits), the block `threads` of AttentionBlock. No split is empty.

namespace flow::kernels {

constexpr int attention_keys = 64;

struct AttentionBlock {
  int queries, threads;
};

/// Largest first. float32 and heads of 128 use the last one only.
constexpr AttentionBlock attention_blocks[] = {{256, 256}, {128, 128}, {64, 128}};

/// The blocks that a kernel is compiled for.
constexpr std::span<const AttentionBlock> attention_blocks_of(int head_dim, int element_bytes) {
  return std::span(attention_blocks).subspan(element_bytes == 2 && head_dim <= 64 ? 0 : 2);
}

/// Tiles of keys or values in shared memory: one in use, the others being copied.
constexpr int attention_stages(int element_bytes) { return element_bytes == 2 ? 3 : 2; }

/// Rows of shared memory before those of the queries. 16-bit queries lie in registers before the last stage is filled,
/// so they begin at its place.
constexpr int attention_queries_row(int element_bytes) {
  return (attention_stages(element_bytes) - (element_bytes == 2 ? 1 : 0)) * attention_keys;
}

/// The tiles and the queries: at most 48 KiB for 16-bit elements, 96 KiB for float32.
constexpr int attention_shared_bytes(AttentionBlock block, int head_dim, int element_bytes) {
  return (attention_queries_row(element_bytes) + block.queries) * head_dim * element_bytes;
}

/// Floats of `partial` per query and split: the weighted sum of values, the sum of weights, the row maximum of the
/// scores.
constexpr int attention_partial_floats(int head_dim) { return head_dim + 2; }

struct AttentionParams {
  const void* q;  // T: heads x tokens x HD of the first image, scaled by log2(e) / sqrt(head_dim), so that the softmax
                  // uses powers of two
  const void* k;
  const void* v;
  void* out;          // T: tokens x heads * head_dim, rows ldo apart
  int tokens, heads;  // of an image; q, k and v of an image follow each other, and so do images
  int head_dim;       // without padding
  int ldo;
  int keys_per_split;  // a multiple of attention_keys
  /// splits x heads x tokens (rounded up to QUERIES) x attention_partial_floats(HD), aligned to 16 bytes.
  /// Only the kernel knows the order. Unused with one split.
  float* partial;
  unsigned* arrived;  // arrival counters: heads x query blocks; zero before and after
};

}  // namespace flow::kernels
