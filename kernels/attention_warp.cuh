#pragma once

// The part of one warp in attention.cu: the products of its 16 queries with a tile of 64 keys or values. float16 and
// bfloat16 use tensor cores, float32 uses FMAs. A thread's registers are float32 and have the same shapes in both
// cases:
//
//   Scores        [8][4]       scores of its queries against the tile's 64 keys
//   Accumulators  [HD / 8][4]  weighted sums of values, a row per query; elements 0, 1 and 2, 3 are neighbouring
//   channels
//
// The cases differ in which thread holds which element:
//
//                      lanes per query    queries                       scores[j][e] is key        of query
//   16-bit, mma's D    4 (t)              lane / 4 + {0, 8}             8j + 2t + e % 2            e / 2
//   float32            8 (t)              lane / 8 + {0, 4, 8, 12}      8 (4 (j % 2) + e) + t      j / 2
//
// Shared memory limits the float32 case. A thread has 4 x 8 scores because that shape loads the least: 12 loads of four
// channels for 128 FMAs. The 2 x 16 scores of mma would take 18 loads.

#include "attention.h"
#include "ptx.cuh"

namespace flow::kernels {

/// 64 rows of a head in shared memory, swizzled: chunk c (16 bytes) of a row is stored at c XOR bits of the row number.
/// So eight rows of one chunk lie in all 32 banks, which is how ldmatrix and the float32 loads read them. Eight chunks
/// of one row lie in all 32 banks as well.
template <class T, int HD>
struct AttentionTile {
  static constexpr int rows = attention_keys, elements = rows * HD;
  static constexpr int chunk = 16 / sizeof(T), chunks = HD / chunk;
  static_assert(rows == attention_queries && rows * chunks % attention_threads == 0);

  static DEVICE int slot(int row, int c) {
    const int bits = chunks >= 8 ? row % 8 : row / 2 % 4;
    return (row * chunks + (c ^ bits)) * chunk;
  }

  /// Starts the copy of the first `count` rows, at most all, to shared memory. The other rows become zero.
  static DEVICE void start_copy(T* to, const T* from, int count) {
#pragma unroll 4
    for (int i = 0; i < rows * chunks / attention_threads; i++) {
      const int index = static_cast<int>(threadIdx.x) + i * attention_threads;
      const int row = index / chunks;
      const bool valid = row < count;
      cp_async16(to + slot(row, index % chunks), valid ? from + index * chunk : from, valid);
    }
  }
};

template <class T, int HD>
struct AttentionWarp {
  using Tile = AttentionTile<T, HD>;
  using Scores = float[8][4];
  using Accumulators = float[HD / 8][4];

  static constexpr int queries = 2, lanes = 4;
  static DEVICE int query(int i) { return warp_id() * 16 + lane_id() / lanes + 8 * i; }
  static constexpr DEVICE int score_query(int, int e) { return e / 2; }
  static DEVICE int score_key(int j, int e) { return 8 * j + lane_id() % lanes * 2 + e % 2; }
  static constexpr DEVICE int acc_query(int, int e) { return e / 2; }
  static DEVICE int acc_channel(int j, int e) { return 8 * j + lane_id() % lanes * 2 + e % 2; }

  std::uint32_t q[HD / 16][4];

  DEVICE explicit AttentionWarp(const T* tile) {
#pragma unroll
    for (int step = 0; step < HD / 16; step++) {
      ldmatrix_x4(q[step], tile + Tile::slot(warp_id() * 16 + lane_id() % 16, 2 * step + lane_id() / 16));
    }
  }

  DEVICE void score(Scores& scores, const T* keys) const {
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) scores[j][e] = 0.F;
    }
#pragma unroll
    for (int step = 0; step < HD / 16; step++) {
#pragma unroll
      for (int j = 0; j < 8; j += 2) {
        std::uint32_t b[4];
        const int row = 8 * j + lane_id() % 8 + lane_id() / 16 * 8;
        ldmatrix_x4(b, keys + Tile::slot(row, 2 * step + lane_id() / 8 % 2));
        mma16816<T>(scores[j], q[step], b[0], b[1]);
        mma16816<T>(scores[j + 1], q[step], b[2], b[3]);
      }
    }
  }

  static DEVICE void add_values(Accumulators& acc, const Scores& weights, const T* values) {
#pragma unroll
    for (int step = 0; step < 4; step++) {
      const float(&w0)[4] = weights[2 * step], (&w1)[4] = weights[2 * step + 1];
      // Weights are at most 1.
      const std::uint32_t a[4] = {pack2_unsaturated<T>(w0[0], w0[1]), pack2_unsaturated<T>(w0[2], w0[3]),
                                  pack2_unsaturated<T>(w1[0], w1[1]), pack2_unsaturated<T>(w1[2], w1[3])};
#pragma unroll
      for (int j = 0; j < HD / 8; j += 2) {
        std::uint32_t b[4];
        ldmatrix_x4_trans(b, values + Tile::slot(16 * step + lane_id() % 16, j + lane_id() / 16));
        mma16816<T>(acc[j], a, b[0], b[1]);
        mma16816<T>(acc[j + 1], a, b[2], b[3]);
      }
    }
  }
};

template <int HD>
struct AttentionWarp<float, HD> {
  using Tile = AttentionTile<float, HD>;
  using Scores = float[8][4];
  using Accumulators = float[HD / 8][4];

  static constexpr int queries = 4, lanes = 8;
  static constexpr int parts = HD / 32;  // groups of 32 channels in a query's row: 4 channels per lane
  static DEVICE int query(int i) { return warp_id() * 16 + lane_id() / lanes + 4 * i; }
  static constexpr DEVICE int score_query(int j, int) { return j / 2; }
  static DEVICE int score_key(int j, int e) { return 8 * (4 * (j % 2) + e) + lane_id() % lanes; }
  static constexpr DEVICE int acc_query(int j, int) { return j / parts; }
  static DEVICE int acc_channel(int j, int e) { return j % parts * 32 + lane_id() % lanes * 4 + e; }

  const float* q;

  DEVICE explicit AttentionWarp(const float* tile) : q(tile) {}

  DEVICE void score(Scores& scores, const float* keys) const {
#pragma unroll
    for (int j = 0; j < 8; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) scores[j][e] = 0.F;
    }
#pragma unroll 2
    for (int c = 0; c < Tile::chunks; c++) {
      float4 a[queries];
#pragma unroll
      for (int i = 0; i < queries; i++) a[i] = *reinterpret_cast<const float4*>(q + Tile::slot(query(i), c));
#pragma unroll
      for (int m = 0; m < 8; m++) {
        const float4 b = *reinterpret_cast<const float4*>(keys + Tile::slot(8 * m + lane_id() % lanes, c));
#pragma unroll
        for (int i = 0; i < queries; i++) {
          float& sum = scores[2 * i + m / 4][m % 4];
          sum += a[i].x * b.x;
          sum += a[i].y * b.y;
          sum += a[i].z * b.z;
          sum += a[i].w * b.w;
        }
      }
    }
  }

  static DEVICE void add_values(Accumulators& acc, const Scores& weights, const float* values) {
#pragma unroll 1
    for (int owner = 0; owner < lanes; owner++) {
#pragma unroll
      for (int m = 0; m < 8; m++) {
        float a[queries];
#pragma unroll
        for (int i = 0; i < queries; i++) {
          a[i] = __shfl_sync(0xffffffffU, weights[2 * i + m / 4][m % 4], owner, lanes);
        }
#pragma unroll
        for (int part = 0; part < parts; part++) {
          const float4 b =
              *reinterpret_cast<const float4*>(values + Tile::slot(8 * m + owner, part * 8 + lane_id() % lanes));
#pragma unroll
          for (int i = 0; i < queries; i++) {
            float(&sum)[4] = acc[i * parts + part];
            sum[0] += a[i] * b.x;
            sum[1] += a[i] * b.y;
            sum[2] += a[i] * b.z;
            sum[3] += a[i] * b.w;
          }
        }
      }
    }
  }
};

}  // namespace flow::kernels
