#pragma once

// The part of one warp in attention.cu: the products of its queries with a tile of 64 keys or values. float16 and
// bfloat16 use tensor cores, float32 uses FMAs. A warp has `Fragments` fragments of 16 queries. A thread's registers
// are float32 and have the same shapes in both cases:
//
//   Scores        [8 * Fragments][4]       scores of its queries against the tile's 64 keys
//   Accumulators  [HD / 8 * Fragments][4]  weighted sums of values, a row per query; elements 0, 1 and 2, 3 are
//                                          neighbouring channels
//
// The cases differ in which thread holds which element. Of the first fragment:
//
//                      lanes per query    queries                       scores[j][e] is key        of query
//   16-bit, mma's D    4 (t)              lane / 4 + {0, 8}             8j + 2t + e % 2            e / 2
//   float32            8 (t)              lane / 8 + {0, 4, 8, 12}      8 (4 (j % 2) + e) + t      j / 2
//
// A fragment of keys or values is 256 bytes of shared memory for one mma. Two fragments of queries share it: 128 bytes
// for one mma, which is what shared memory delivers in a cycle. The fragments of the queries stay in registers.
//
// Shared memory limits the float32 case, which has one fragment. A thread has 4 x 8 scores because that shape loads the
// least: 12 loads of four channels for 128 FMAs. The 2 x 16 scores of mma would take 18 loads.

#include "attention.h"
#include "ptx.cuh"

namespace flow::kernels {

/// Rows of a head in shared memory, swizzled: chunk c (16 bytes) of a row is stored at c XOR bits of the row number. So
/// eight rows of one chunk lie in all 32 banks, which is how ldmatrix and the float32 loads read them. Eight chunks of
/// one row lie in all 32 banks as well.
template <class T, int HD>
struct AttentionTile {
  static constexpr int elements = attention_keys * HD;  // of a tile of keys or values
  static constexpr int chunk = 16 / sizeof(T), chunks = HD / chunk;
  static constexpr int stages = attention_stages(sizeof(T));
  static constexpr int queries_at = attention_queries_row(sizeof(T)) * HD;  // the queries' place in shared memory

  static DEVICE int slot(int row, int c) {
    const int bits = chunks >= 8 ? row % 8 : row / 2 % 4;
    return (row * chunks + (c ^ bits)) * chunk;
  }

  /// The block's `Threads` threads start the copy of the first `count` of `Rows` rows, at most all, to shared memory.
  /// The other rows become zero.
  template <int Rows, int Threads>
  static DEVICE void start_copy(T* to, const T* from, int count) {
    static_assert(Rows * chunks % Threads == 0);
#pragma unroll 4
    for (int i = 0; i < Rows * chunks / Threads; i++) {
      const int index = static_cast<int>(threadIdx.x) + i * Threads;
      const int row = index / chunks;
      const bool valid = row < count;
      cp_async16(to + slot(row, index % chunks), valid ? from + index * chunk : from, valid);
    }
  }
};

template <class T, int HD, int Fragments>
struct AttentionWarp {
  using Tile = AttentionTile<T, HD>;
  static constexpr int score_tiles = 8, channel_tiles = HD / 8;  // of a fragment
  using Scores = float[score_tiles * Fragments][4];
  using Accumulators = float[channel_tiles * Fragments][4];

  static constexpr bool keeps_queries = true;  // in registers: their shared memory is free after the constructor
  static constexpr int queries = 2 * Fragments, lanes = 4;
  static DEVICE int query(int i) { return (warp_id() * Fragments + i / 2) * 16 + lane_id() / lanes + i % 2 * 8; }
  static constexpr DEVICE int score_query(int j, int e) { return j / score_tiles * 2 + e / 2; }
  static DEVICE int score_key(int j, int e) { return 8 * (j % score_tiles) + lane_id() % lanes * 2 + e % 2; }
  static constexpr DEVICE int acc_query(int j, int e) { return j / channel_tiles * 2 + e / 2; }
  static DEVICE int acc_channel(int j, int e) { return 8 * (j % channel_tiles) + lane_id() % lanes * 2 + e % 2; }

  std::uint32_t q[Fragments][HD / 16][4];

  DEVICE explicit AttentionWarp(const T* tile) {
#pragma unroll
    for (int f = 0; f < Fragments; f++) {
#pragma unroll
      for (int step = 0; step < HD / 16; step++) {
        const int row = (warp_id() * Fragments + f) * 16 + lane_id() % 16;
        ldmatrix_x4(q[f][step], tile + Tile::slot(row, 2 * step + lane_id() / 16));
      }
    }
  }

  DEVICE void score(Scores& scores, const T* keys) const {
#pragma unroll
    for (auto& score : scores) score[0] = score[1] = score[2] = score[3] = 0.F;
#pragma unroll
    for (int step = 0; step < HD / 16; step++) {
#pragma unroll
      for (int j = 0; j < score_tiles; j += 2) {
        std::uint32_t b[4];
        const int row = 8 * j + lane_id() % 8 + lane_id() / 16 * 8;
        ldmatrix_x4(b, keys + Tile::slot(row, 2 * step + lane_id() / 8 % 2));
#pragma unroll
        for (int f = 0; f < Fragments; f++) {
          mma16816<T>(scores[f * score_tiles + j], q[f][step], b[0], b[1]);
          mma16816<T>(scores[f * score_tiles + j + 1], q[f][step], b[2], b[3]);
        }
      }
    }
  }

  static DEVICE void add_values(Accumulators& acc, const Scores& weights, const T* values) {
#pragma unroll
    for (int step = 0; step < score_tiles / 2; step++) {
      std::uint32_t a[Fragments][4];
#pragma unroll
      for (int f = 0; f < Fragments; f++) {
        const float(&w0)[4] = weights[f * score_tiles + 2 * step], (&w1)[4] = weights[f * score_tiles + 2 * step + 1];
        // Weights are at most 1.
        a[f][0] = pack2_unsaturated<T>(w0[0], w0[1]), a[f][1] = pack2_unsaturated<T>(w0[2], w0[3]);
        a[f][2] = pack2_unsaturated<T>(w1[0], w1[1]), a[f][3] = pack2_unsaturated<T>(w1[2], w1[3]);
      }
#pragma unroll
      for (int j = 0; j < channel_tiles; j += 2) {
        std::uint32_t b[4];
        ldmatrix_x4_trans(b, values + Tile::slot(16 * step + lane_id() % 16, j + lane_id() / 16));
#pragma unroll
        for (int f = 0; f < Fragments; f++) {
          mma16816<T>(acc[f * channel_tiles + j], a[f], b[0], b[1]);
          mma16816<T>(acc[f * channel_tiles + j + 1], a[f], b[2], b[3]);
        }
      }
    }
  }
};

template <int HD>
struct AttentionWarp<float, HD, 1> {
  using Tile = AttentionTile<float, HD>;
  using Scores = float[8][4];
  using Accumulators = float[HD / 8][4];

  static constexpr bool keeps_queries = false;
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
    for (auto& score : scores) score[0] = score[1] = score[2] = score[3] = 0.F;
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
