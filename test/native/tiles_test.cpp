// How work is cut into blocks: promises for every shape and GPU.

#include <algorithm>
#include <array>
#include <iterator>

#include "check.h"
#include "cuda/tiles.h"

using namespace flow;
using namespace flow::cuda;
using kernels::GemmTile;

namespace {

constexpr std::size_t kibibyte = 1024;

DeviceInfo card(int multiprocessors, std::size_t shared_per_block, std::size_t shared_per_multiprocessor,
                int capability_major = 8, int capability_minor = 0) {
  DeviceInfo device{};
  device.name = "a card";
  device.capability_major = capability_major;
  device.capability_minor = capability_minor;
  device.multiprocessors = multiprocessors;
  device.shared_per_block = shared_per_block * kibibyte;
  device.shared_per_multiprocessor = shared_per_multiprocessor * kibibyte;
  return device;
}

const DeviceInfo turing = card(40, 64, 64, 7, 5);
const DeviceInfo ampere = card(108, 163, 164, 8, 0);
const DeviceInfo ada = card(128, 99, 100, 8, 9);
const DeviceInfo orin = card(16, 163, 164, 8, 7);
const DeviceInfo hopper = card(132, 227, 228, 9, 0);
const DeviceInfo cards[] = {card(1, 48, 48), turing, ampere, ada, orin, hopper};

const GemmTile& widest = *std::begin(kernels::gemm_tiles);
const GemmTile& wide = kernels::gemm_tiles[1];
const GemmTile& largest = kernels::gemm_tiles[2];  // of those that every product has
const GemmTile& middle = kernels::gemm_tiles[3];
const GemmTile& smallest = *(std::end(kernels::gemm_tiles) - 1);

bool same(const GemmTile& a, const GemmTile& b) { return a.rows == b.rows && a.cols == b.cols; }

int ceil_div(int a, int b) { return (a + b - 1) / b; }

AttentionWork work(int tokens, int heads) { return {tokens, heads, 64, 2}; }

int queries_of(AttentionWork work, const DeviceInfo& device) { return choose_attention_block(work, device).queries; }

int splits_of(AttentionWork work, const DeviceInfo& device) {
  return ceil_div(work.tokens, choose_attention_splits(choose_attention_block(work, device), work, device));
}

/// That of kernels for the card's own capability.
GemmTile tile_of(const char* op, int m, int n, int k, int bytes, const DeviceInfo& device) {
  const int capability = 10 * device.capability_major + device.capability_minor;
  return choose_gemm_tile(op, capability, m, n, k, bytes, device);
}

const check::Register fits("a GEMM's tile fits the card, whatever the shape", [] {
  for (const DeviceInfo& device : cards) {
    for (const int bytes : {2, 4}) {
      for (const int m : {0, 1, 64, 65, 1605, 100000}) {
        for (const int n : {1, 8, 256, 2304, 20000}) {
          for (const int k : {0, 8, 384, 4096}) {
            for (const char* op : {"add", "swiglu"}) {
              const GemmTile tile = tile_of(op, m, n, k, bytes, device);
              const auto shared = static_cast<std::size_t>(kernels::gemm_shared_bytes(tile, bytes));
              check::that(shared <= device.shared_per_block, m, " x ", n, " x ", k, " of ", bytes, " bytes: ", shared);
              check::that(bytes == 2 || same(tile, smallest), "float32 has the last tile only");
              check::that(!kernels::is_wide(tile) || op == std::string("swiglu"), op, " has no wide tile");
            }
          }
        }
      }
    }
  }
});

const check::Register too_small("a card that no tile fits is an error that names it", [] {
  try {
    tile_of("add", 64, 64, 64, 2, card(4, 16, 16));
  } catch (const Error& error) {
    check::that(error.code() == ErrorCode::device, "not a device error");
    check::that(std::string(error.what()).find("a card") != std::string::npos, error.what());
    return;
  }
  check::fail("there is a choice");
});

const check::Register by_occupancy("few blocks get small tiles, many get large ones", [] {
  const auto tile_of_add = [](int m, int n, int k, const DeviceInfo& device) {
    return tile_of("add", m, n, k, 2, device);
  };
  check::that(same(tile_of_add(64, 64, 384, hopper), smallest), "one block");
  check::that(same(tile_of_add(1600, 256, 384, hopper), smallest), "39 large blocks on 132 multiprocessors");
  check::that(same(tile_of_add(1605, 384, 1536, hopper), middle), "a block's second product, ViT-S+");
  check::that(same(tile_of_add(1605, 3072, 384, hopper), largest), "as wide as a block's first product, ViT-S+");
  check::that(same(tile_of_add(1605, 1152, 384, orin), largest), "117 large blocks on 16 multiprocessors");
  check::that(same(tile_of_add(20000, 4096, 1024, hopper), largest), "thousands of blocks");
});

const check::Register wide_tiles("SwiGLU's product has wide tiles where they read less from L2 and fill the card", [] {
  const auto tile_of_block = [](int tokens, const DeviceInfo& device) {  // its first product, ViT-S+
    return tile_of("swiglu", tokens, 3072, 384, 2, device);
  };
  check::that(same(tile_of_block(1605, hopper), widest), "112 blocks of 256 x 192 on 132 multiprocessors");
  check::that(same(tile_of_block(3210, hopper), widest), "two images on 132 multiprocessors");
  check::that(same(tile_of_block(1605, ampere), wide), "112 blocks of 256 x 192 are two rounds on 108 multiprocessors");
  check::that(same(tile_of_block(3210, ampere), widest), "two images on 108 multiprocessors");
  check::that(same(tile_of_block(1605, orin), wide), "208 blocks of 128 x 192 on 16 multiprocessors");
  check::that(!kernels::is_wide(tile_of_block(201, hopper)), "201 tokens on 132 multiprocessors");
});

const check::Register wide_only_there("a wide tile needs kernels for 8.0, and room for eight warps", [] {
  for (int tokens = 1; tokens < 8000; tokens += 50) {
    for (const int n : {384, 1536, 3072, 10240}) {
      const auto tile_of_kernels = [&](int capability, const DeviceInfo& device) {
        return choose_gemm_tile("swiglu", capability, tokens, n, 384, 2, device);
      };
      check::that(!kernels::is_wide(tile_of_kernels(75, hopper)), tokens, " tokens: no kernel");
      check::that(!same(tile_of_kernels(80, ada), wide), tokens, " tokens: one block of four warps");
    }
  }
});

const check::Register panels("a product walks panels of columns where its weights do not stay in L2", [] {
  DeviceInfo nano = orin;
  nano.l2 = 2048 * kibibyte;
  const int of_nano = choose_gemm_panel(largest, 1605, 3072, 384, 2, nano);
  check::that(of_nano >= 4 && of_nano <= 8, "2.4 MB of weights, 2 MiB of L2: ", of_nano);
  DeviceInfo large = hopper;
  large.l2 = 50 * 1024 * kibibyte;
  check::that(choose_gemm_panel(largest, 1605, 3072, 384, 2, large) == 24, "2.4 MB of weights, 50 MiB of L2");
  for (const std::size_t l2 : {std::size_t{0}, 4 * kibibyte, 512 * kibibyte}) {
    DeviceInfo device = orin;
    device.l2 = l2;
    for (int n = 8; n < 4000; n += 40) {
      const int columns = ceil_div(n, largest.cols), panel = choose_gemm_panel(largest, 1605, n, 384, 2, device);
      check::that(panel >= 1 && columns % panel == 0, n, " columns: panels of ", panel);
    }
  }
});

const check::Register monotonic("more work takes longer, more multiprocessors do not", [] {
  for (const GemmTile& tile : kernels::gemm_tiles) {
    for (const char* op : {"add", "swiglu"}) {
      for (int i = 1; i < 400; i++) {
        const auto time = [&](int m, int n, int k, int multiprocessors) {
          return gemm_time(op, tile, m, n, k, 2, card(multiprocessors, 227, 228));
        };
        check::that(time(10 * i, 384, 384, 132) <= time(10 * i + 10, 384, 384, 132), "rows ", 10 * i);
        check::that(time(1605, 8 * i, 384, 132) <= time(1605, 8 * i + 8, 384, 132), "columns ", 8 * i);
        check::that(time(1605, 384, 8 * i, 132) <= time(1605, 384, 8 * i + 8, 132), "depth ", 8 * i);
        check::that(time(1605, 1152, 384, i) >= time(1605, 1152, 384, i + 1), "multiprocessors ", i);
      }
    }
  }
});

const check::Register splits_bounds("attention has whole key tiles, 4 or more in a split, and 8 splits or fewer", [] {
  for (const DeviceInfo& device : cards) {
    for (const kernels::AttentionBlock& block : kernels::attention_blocks) {
      for (int tokens = 1; tokens < 5000; tokens += 7) {
        for (const int heads : {1, 3, 6, 20}) {
          const int keys = choose_attention_splits(block, work(tokens, heads), device);
          check::that(keys > 0 && keys % kernels::attention_keys == 0, tokens, " tokens: ", keys, " keys");
          const int splits = ceil_div(tokens, keys);
          check::that(splits >= 1 && splits <= 8, tokens, " tokens: ", splits, " splits");
          check::that(splits == 1 || keys >= 4 * kernels::attention_keys, tokens, " tokens: ", keys, " keys");
        }
      }
    }
  }
});

const check::Register splits_fill(
    "attention fills the card where there are keys enough, and is not split where it does", [] {
      const AttentionWork vit_s = work(1605, 6);
      const int blocks = ceil_div(1605, queries_of(vit_s, hopper)) * 6 * splits_of(vit_s, hopper);
      const int rounds = ceil_div(blocks, hopper.multiprocessors);
      check::that(10 * blocks >= 9 * rounds * hopper.multiprocessors, "1605 tokens, 6 heads: ", blocks, " blocks");
      const AttentionWork one_head = work(1605, 1);
      check::that(splits_of(one_head, hopper) >= 4, "1605 tokens, 1 head");
      check::that(splits_of(one_head, hopper) * ceil_div(1605, queries_of(one_head, hopper)) <= hopper.multiprocessors,
                  "1605 tokens, 1 head: a second round");
      check::that(splits_of(vit_s, orin) == 1, "1605 tokens, 6 heads on 16 multiprocessors");
      check::that(splits_of(work(6405, 16), orin) == 1, "6405 tokens, 16 heads on 16 multiprocessors");
      check::that(splits_of(work(384, 1), hopper) == 1, "6 key tiles cannot be split");
    });

const check::Register queries("attention's blocks are large where L2 limits, and small where there are few", [] {
  check::that(queries_of(work(1605, 6), hopper) == 256, "1605 tokens, 6 heads on 132 multiprocessors");
  check::that(queries_of(work(1605, 6), orin) == 128, "1605 tokens, 6 heads on 16 multiprocessors");
  check::that(queries_of(work(201, 6), hopper) == 64, "201 tokens, 6 heads on 132 multiprocessors");
  for (const DeviceInfo& device : cards) {
    for (const auto [head_dim, bytes] : {std::array{128, 2}, {64, 4}, {128, 4}}) {
      check::that(queries_of({1605, 6, head_dim, bytes}, device) == 64, "no kernel has more queries");
    }
  }
});

const check::Register degenerate("degenerate shapes have a choice", [] {
  DeviceInfo none = hopper;
  none.multiprocessors = 0;
  for (const kernels::AttentionBlock& block : kernels::attention_blocks) {
    check::that(choose_attention_splits(block, work(0, 1), hopper) == kernels::attention_keys, "no tokens");
    check::that(choose_attention_splits(block, work(1, 0), hopper) == kernels::attention_keys, "no heads");
    check::that(choose_attention_splits(block, work(1605, 6), none) > 0, "no multiprocessors");
  }
  check::that(queries_of(work(0, 0), hopper) > 0, "nothing");
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
