// The input of the flow head's fusion: for pixel (y, x), out = [a, b, |a - b|, cost volume]. The cost of offset (dy,
// dx), in row-major order, is a(y, x) . b(y + dy, x + dx) / sqrt(channels). It is zero where b is outside the map.
//
// A block takes 4 x 4 pixels of `a` and multiplies them with all (4 + 2 radius)^2 pixels of `b` that any of them needs.
// For radius 4 this is a dense product of 16 x 144, of which 56 % are costs. On tensor cores it is several times
// cheaper than 81 single dot products per pixel. A warp takes 16 columns of the product, with float32 accumulators in
// registers. Slices of channels pass through a ring buffer in shared memory. Chunk c (16 bytes) of a row of 64 bytes is
// stored at c XOR (row / 2 % 4), so that the copies and the eight rows of ldmatrix touch every bank once. float32
// computes the same fragments with multiply-adds. A larger radius takes several passes.
//
// 40 x 40 pixels of 256 float16 channels with radius 4 are 118 MFLOP in 100 blocks. They read 1.6 MB, each `b` 9 times
// from L2, and write 2.7 MB. Latency limits this: each block is 8 slices deep.

#include "correlation.h"

#include "ptx.cuh"

namespace flow::kernels {

constexpr int correlation_pixels = correlation_tile_width * correlation_tile_height;
constexpr int correlation_rows = correlation_pixels + correlation_neighbours;
static_assert(correlation_pixels == 16, "the rows of one fragment");

template <class T>
struct Correlation {
  static constexpr int group = 16 / sizeof(T);  // elements of one 16-byte copy
  static constexpr int depth = correlation_depth_bytes / sizeof(T);
  static constexpr int groups = depth / group;
  static constexpr int copies = (correlation_rows * groups + correlation_threads - 1) / correlation_threads;
  static_assert(correlation_threads % groups == 0, "a thread copies the same columns of several rows");

  /// The source rows of the rows of shared memory that this thread fills.
  struct Source {
    const T* row[copies];
    bool inside[copies];
  };

  const CorrelationParams& p;
  int x0, y0;  // the block's first pixel
  T* shared;

  /// The window of `b`: all pixels that the tile needs.
  DEVICE int window_width() const { return correlation_tile_width + 2 * p.radius; }
  DEVICE int window_size() const { return window_width() * (correlation_tile_height + 2 * p.radius); }
  DEVICE const T* a(int pixel) const { return static_cast<const T*>(p.a) + static_cast<std::ptrdiff_t>(pixel) * p.lda; }
  DEVICE const T* b(int pixel) const { return static_cast<const T*>(p.b) + static_cast<std::ptrdiff_t>(pixel) * p.ldb; }
  DEVICE T* out(int pixel) const { return static_cast<T*>(p.out) + static_cast<std::ptrdiff_t>(pixel) * p.ldo; }

  /// The index of the pixel at (y, x) of the map, or -1 outside it.
  DEVICE int pixel_at(int y, int x) const {
    return y >= 0 && y < p.height && x >= 0 && x < p.width ? y * p.width + x : -1;
  }
  /// The index of pixel i of the block's tile, or -1 outside the map.
  DEVICE int tile_pixel(int i) const {
    return pixel_at(y0 + i / correlation_tile_width, x0 + i % correlation_tile_width);
  }

  /// Rows 0..15 are the tile of `a`, the others the pixels of the window from `first` on.
  DEVICE Source sources(int first) const {
    Source source;
    for (int i = 0; i < copies; i++) {
      const int row = (static_cast<int>(threadIdx.x) + i * correlation_threads) / groups;
      const int neighbour = first + row - correlation_pixels, side = window_width();
      const int pixel = row < correlation_pixels ? tile_pixel(row)
                        : neighbour < window_size()
                            ? pixel_at(y0 - p.radius + neighbour / side, x0 - p.radius + neighbour % side)
                            : -1;
      source.inside[i] = pixel >= 0;
      source.row[i] = row < correlation_pixels ? a(max(pixel, 0)) : b(max(pixel, 0));
    }
    return source;
  }

  DEVICE T* stage(int slice) const { return shared + slice % correlation_stages * correlation_rows * depth; }
  /// Where a chunk of a row of a stage begins.
  DEVICE static T* chunk(T* stage, int row, int chunk) { return stage + row * depth + (chunk ^ row / 2 % 4) * group; }

  DEVICE void fetch(const Source& source, int slice) const {
    const int column = static_cast<int>(threadIdx.x) % groups, channel = slice * depth + column * group;
    for (int i = 0; i < copies; i++) {
      const int row = (static_cast<int>(threadIdx.x) + i * correlation_threads) / groups;
      if (row >= correlation_rows) break;
      T* to = chunk(stage(slice), row, column);
      const T* from = source.row[i];
      if (row < correlation_pixels && channel < p.channels && channel + group > p.channels) {
        // The padding of the rows must not count. It is finite, so zeros in the left operand are enough.
        for (int e = 0; e < group; e++) {
          to[e] = source.inside[i] && channel + e < p.channels ? from[channel + e] : from_float<T>(0);
        }
      } else {
        const bool valid = source.inside[i] && channel < p.channels;
        cp_async16(to, valid ? from + channel : from, valid);
      }
    }
  }

  /// acc += the tile times this warp's 16 neighbours: two D fragments.
  DEVICE void multiply(int slice, float (&acc)[2][4]) const {
    const int lane = lane_id();
    T* left = stage(slice);
    T* right = left + (correlation_pixels + 16 * warp_id()) * depth;  // 16 rows further, chunks are swizzled alike
    if constexpr (sizeof(T) == 2) {
#pragma unroll
      for (int step = 0; step < groups / 2; step++) {
        std::uint32_t a[4], b[4];
        ldmatrix_x4(a, chunk(left, lane % 16, 2 * step + lane / 16));
        ldmatrix_x4(b, chunk(right, lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2));
        mma16816<T>(acc[0], a, b[0], b[1]);
        mma16816<T>(acc[1], a, b[2], b[3]);
      }
    } else {
      const int row = lane / 4, column = lane % 4 * 2;
#pragma unroll
      for (int k = 0; k < groups; k++) {
        const float4 a[2] = {load4(chunk(left, row, k)), load4(chunk(left, row + 8, k))};
        for (int tile = 0; tile < 2; tile++) {
          const float4 b[2] = {load4(chunk(right, tile * 8 + column, k)),
                               load4(chunk(right, tile * 8 + column + 1, k))};
          for (int e = 0; e < 4; e++) {
            const float4 &u = a[e / 2], &v = b[e % 2];
            acc[tile][e] += u.x * v.x;
            acc[tile][e] += u.y * v.y;
            acc[tile][e] += u.z * v.z;
            acc[tile][e] += u.w * v.w;
          }
        }
      }
    }
  }

  DEVICE static float4 load4(const T* from) { return *reinterpret_cast<const float4*>(from); }

  /// Stores those of this warp's products that are costs.
  DEVICE void store(int first, const float (&acc)[2][4]) const {
    const int lane = lane_id(), side = 2 * p.radius + 1;
    const float scale = 1.F / sqrtf(static_cast<float>(p.channels));
    LargestMagnitude largest;
    for (int tile = 0; tile < 2; tile++) {
      for (int e = 0; e < 4; e++) {
        const int i = lane / 4 + e / 2 * 8;
        const int neighbour = first + 16 * warp_id() + 8 * tile + lane % 4 * 2 + e % 2;
        const int dy = neighbour / window_width() - i / correlation_tile_width,
                  dx = neighbour % window_width() - i % correlation_tile_width;
        const int pixel = tile_pixel(i);
        if (pixel < 0 || dy < 0 || dy >= side || dx < 0 || dx >= side) continue;
        const float cost = scale * acc[tile][e];
        largest.note_as<T>(cost);
        out(pixel)[3 * p.channels + dy * side + dx] = from_float<T>(cost);
      }
    }
    largest.report_as<T>(p.excess);
  }

  /// Writes the columns that are not costs.
  DEVICE void concatenate() const {
    const int thread = static_cast<int>(threadIdx.x), channels = p.channels;
    LargestMagnitude largest;
    if (channels % 8 == 0) {
      const int eights = channels / 8;
      for (int item = thread; item < correlation_pixels * eights; item += correlation_threads) {
        const int pixel = tile_pixel(item / eights), c = item % eights * 8;
        if (pixel < 0) continue;
        float u[8], v[8], difference[8];
        load8(a(pixel) + c, u);
        load8(b(pixel) + c, v);
        for (int e = 0; e < 8; e++) {
          difference[e] = fabsf(u[e] - v[e]);
          largest.note_as<T>(difference[e]);
        }
        store8(out(pixel) + c, u);
        store8(out(pixel) + channels + c, v);
        store8(out(pixel) + 2 * channels + c, difference);
      }
    } else {
      for (int item = thread; item < correlation_pixels * channels; item += correlation_threads) {
        const int pixel = tile_pixel(item / channels), c = item % channels;
        if (pixel < 0) continue;
        const T u = a(pixel)[c], v = b(pixel)[c];
        out(pixel)[c] = u;
        out(pixel)[channels + c] = v;
        const float difference = fabsf(to_float(u) - to_float(v));
        largest.note_as<T>(difference);
        out(pixel)[2 * channels + c] = from_float<T>(difference);
      }
    }
    largest.report_as<T>(p.excess);

    const int cols = 3 * channels + (2 * p.radius + 1) * (2 * p.radius + 1), padding = ceil_div(cols, 8) * 8 - cols;
    for (int item = thread; item < correlation_pixels * padding; item += correlation_threads) {
      const int pixel = tile_pixel(item / padding);
      if (pixel >= 0) out(pixel)[cols + item % padding] = from_float<T>(0);
    }
  }
};

template <class T>
DEVICE void correlation(const CorrelationParams& p) {
  SHARED_MEMORY(T, shared);
  const Correlation<T> c{p, static_cast<int>(blockIdx.x) * correlation_tile_width,
                         static_cast<int>(blockIdx.y) * correlation_tile_height, shared};
  const int neighbours = c.window_size(), slices = ceil_div(p.channels, c.depth);

  for (int first = 0; first < neighbours; first += correlation_neighbours) {
    const auto source = c.sources(first);
    for (int slice = 0; slice < correlation_stages - 1; slice++) {
      if (slice < slices) c.fetch(source, slice);
      cp_async_commit();
    }
    if (first == 0) c.concatenate();  // while the first slices are being copied

    const bool busy = first + 16 * warp_id() < neighbours;
    float acc[2][4] = {};
    for (int slice = 0; slice < slices; slice++) {
      cp_async_wait<correlation_stages - 2>();
      __syncthreads();  // the slice has arrived, and all warps are done with the previous one
      const int next = slice + correlation_stages - 1;
      if (next < slices) c.fetch(source, next);
      cp_async_commit();
      if (busy) c.multiply(slice, acc);
    }
    if (busy) c.store(first, acc);
    __syncthreads();
  }
}

KERNEL(correlation_f32, CorrelationParams, correlation_threads, 1) { correlation<float>(p); }
KERNEL(correlation_f16, CorrelationParams, correlation_threads, 1) { correlation<__half>(p); }
KERNEL(correlation_bf16, CorrelationParams, correlation_threads, 1) { correlation<__nv_bfloat16>(p); }

}  // namespace flow::kernels
