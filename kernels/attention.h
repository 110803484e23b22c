#pragma once

#include "layouts.h"

// Parameters of attention.cu: attention_TYPE_HD, TYPE f32, f16 or bf16, HD the padded head size 32, 64 or 128.
// The grid is (ceil(tokens / attention_queries), heads, splits), the block attention_threads. No split is empty.

namespace flow::kernels {

constexpr int attention_queries = 64;
constexpr int attention_keys = 64;
constexpr int attention_threads = 128;

/// Tiles of keys or values in shared memory: one in use, the others being copied.
constexpr int attention_stages(int element_bytes) { return element_bytes == 2 ? 3 : 2; }

/// The queries and the tiles: at most 64 KiB for 16-bit elements, 96 KiB for float32.
constexpr int attention_shared_bytes(int head_dim, int element_bytes) {
  return (attention_queries + attention_stages(element_bytes) * attention_keys) * head_dim * element_bytes;
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
  /// splits x heads x tokens (rounded up to attention_queries) x attention_partial_floats(HD), aligned to 16 bytes.
  /// Only the kernel knows the order. Unused with one split.
  float* partial;
  unsigned* arrived;  // arrival counters: heads x query blocks; zero before and after
};

}  // namespace flow::kernels
