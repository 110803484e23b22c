// The count build of the emulator, against kernels whose counts follow from their source.

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "../emulator/count.h"
#include "../emulator/count_kernels.h"
#include "../emulator/driver/memory.h"
#include "../emulator/launch.h"
#include "check.h"

using emu::Counts;

namespace {

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

/// Two buffers of global memory that start at a line, and launches on them. L2 is empty of them at first.
class Card {
 public:
  static constexpr std::size_t bytes = 1 << 16;

  Card() {
    std::memset(in_, 0, bytes);
    std::memset(out_, 0, bytes);
  }

  Counts launch(const char* kernel, CountParams params, unsigned threads = 32, unsigned blocks = 1) {
    params.in = in_;
    params.out = out_;
    emu::launch(kernel, dim3{blocks}, dim3{threads}, 16 << 10, params);
    return emu::last_counts();
  }

 private:
  emu::Memory memory_;
  float* const in_ = static_cast<float*>(memory_.allocate(bytes, emu::Memory::Kind::device));
  float* const out_ = static_cast<float*>(memory_.allocate(bytes, emu::Memory::Kind::device));
};

CountParams strided(int stride, int offset = 0, int times = 1) { return {nullptr, nullptr, stride, offset, times}; }

void equal(std::uint64_t counted, std::uint64_t expected, const std::string& what) {
  check::that(counted == expected, what, ": ", counted, " instead of ", expected);
}

// ---- shared memory -----------------------------------------------------------------------------------------------

struct Wavefronts {
  const char* kernel;
  int stride, offset;
  std::uint64_t requests, wavefronts, least;
};

struct SharedMemory : check::Register {
  SharedMemory(const char* promise, std::vector<Wavefronts> cases)
      : Register(promise, [cases] {
          Card card;
          for (const Wavefronts& c : cases) {
            const Counts counts = card.launch(c.kernel, strided(c.stride, c.offset));
            const std::string what = std::string(c.kernel) + ", stride " + std::to_string(c.stride);
            equal(counts.shared_requests, c.requests, what + ": requests");
            equal(counts.shared_wavefronts, c.wavefronts, what + ": wavefronts");
            equal(counts.shared_least, c.least, what + ": least wavefronts");
            const bool reads = std::string_view(c.kernel).find("store") == std::string_view::npos;
            equal(counts.shared_read, reads ? c.wavefronts : 0, what + ": wavefronts that read");
            equal(counts.load_requests + counts.store_requests, 0, what + ": global requests");
          }
        }) {}
};

const SharedMemory words("lanes that share a bank take turns, unless they share the word",
                         {{"count_shared_load", 1, 0, 1, 1, 1},
                          {"count_shared_load", 1, 5, 1, 1, 1},
                          {"count_shared_load", 0, 0, 1, 1, 1},
                          {"count_shared_load", 2, 0, 1, 2, 1},
                          {"count_shared_load", 3, 0, 1, 1, 1},
                          {"count_shared_load", 4, 0, 1, 4, 1},
                          {"count_shared_load", 32, 0, 1, 32, 1},
                          {"count_shared_load", 33, 0, 1, 1, 1},
                          {"count_shared_load", 34, 0, 1, 2, 1},
                          {"count_shared_store", 1, 0, 1, 1, 1},
                          {"count_shared_store", 8, 0, 1, 8, 1}});

const SharedMemory halves("two lanes may share the word of a 16-bit load",
                          {{"count_shared_load_half", 1, 0, 1, 1, 1},
                           {"count_shared_load_half", 2, 0, 1, 1, 1},
                           {"count_shared_load_half", 64, 0, 1, 32, 1}});

const SharedMemory wide("8 bytes are loaded by half warps, 16 bytes by quarters",
                        {{"count_shared_load2", 1, 0, 1, 2, 2},
                         {"count_shared_load2", 0, 0, 1, 2, 2},
                         {"count_shared_load2", 2, 0, 1, 4, 2},
                         {"count_shared_load2", 16, 0, 1, 32, 2},
                         {"count_shared_load4", 1, 0, 1, 4, 4},
                         {"count_shared_load4", 2, 0, 1, 8, 4},
                         {"count_shared_load4", 3, 0, 1, 4, 4},
                         {"count_shared_load4", 8, 0, 1, 32, 4}});

const SharedMemory atomics("lanes of an atomic take turns even at one word",
                           {{"count_shared_atomic", 1, 0, 1, 1, 1}, {"count_shared_atomic", 0, 0, 1, 32, 1}});

const SharedMemory matrices("a matrix of ldmatrix is one wavefront if its rows lie in all banks",
                            {{"count_ldmatrix", 4, 0, 1, 4, 4},
                             {"count_ldmatrix", 8, 0, 1, 8, 4},
                             {"count_ldmatrix", 32, 0, 1, 32, 4},
                             {"count_ldmatrix", 36, 0, 1, 4, 4},
                             {"count_ldmatrix2", 4, 0, 1, 2, 2},
                             {"count_ldmatrix2", 32, 0, 1, 16, 2},
                             {"count_ldmatrix_swizzled", 0, 0, 1, 4, 4}});

const check::Register warps("every warp makes requests of its own", [] {
  Card card;
  const Counts counts = card.launch("count_shared_load", strided(2), 96, 5);
  equal(counts.shared_requests, 3 * 5, "requests");
  equal(counts.shared_wavefronts, 2 * 3 * 5, "wavefronts");
});

const check::Register part_of_warp("a warp of few lanes makes a request of few lanes", [] {
  Card card;
  const Counts counts = card.launch("count_shared_load4", strided(1), 32 + 9);
  equal(counts.shared_requests, 2, "requests");
  equal(counts.shared_wavefronts, 4 + 2, "wavefronts");
});

// ---- global memory -----------------------------------------------------------------------------------------------

struct Sectors {
  const char* kernel;
  int stride, offset;
  std::uint64_t bytes, sectors, lines;
};

const check::Register sectors("a request touches sectors of 32 bytes in lines of 128", [] {
  for (const Sectors& c : {Sectors{"count_load", 1, 0, 128, 4, 1},
                           {"count_load", 1, 1, 128, 5, 2},
                           {"count_load", 1, 8, 128, 4, 2},
                           {"count_load", 0, 3, 4, 1, 1},
                           {"count_load", 2, 0, 128, 8, 2},
                           {"count_load", 8, 0, 128, 32, 8},
                           {"count_load", 32, 0, 128, 32, 32},
                           {"count_load_byte", 1, 0, 32, 1, 1},
                           {"count_load_byte", 3, 0, 32, 3, 1},
                           {"count_load4", 1, 0, 512, 16, 4},
                           {"count_load4", 2, 0, 512, 32, 8}}) {
    Card card;
    const Counts counts = card.launch(c.kernel, strided(c.stride, c.offset));
    const std::string what = std::string(c.kernel) + ", stride " + std::to_string(c.stride);
    equal(counts.load_requests, 1, what + ": requests");
    equal(counts.load_bytes, c.bytes, what + ": bytes");
    equal(counts.load_sectors, c.sectors, what + ": sectors");
    equal(counts.load_lines, c.lines, what + ": lines");
    equal(counts.l2_new_bytes, 32 * c.sectors, what + ": new bytes");
    equal(counts.l2_unused_bytes, 32 * c.sectors - c.bytes, what + ": unused bytes");
    equal(counts.store_requests + counts.shared_requests, 0, what + ": other requests");
  }
});

const check::Register stores("a store touches sectors, and reads none from memory", [] {
  Card card;
  const Counts counts = card.launch("count_store", strided(2, 0, 3), 64);
  equal(counts.store_requests, 2 * 3, "requests");
  equal(counts.store_bytes, 2 * 3 * 128, "bytes");
  equal(counts.store_sectors, 2 * 3 * 8, "sectors");
  equal(counts.store_lines, 2 * 3 * 2, "lines");
  equal(counts.l2_new_bytes, 0, "new bytes");
  equal(counts.l2_unused_bytes, 2 * 3 * (8 * 32 - 128), "unused bytes");
  equal(counts.l2_dirty_bytes, 2 * 3 * 8 * 32, "dirty bytes");
  equal(card.launch("count_store", strided(2, 0, 3), 64).l2_dirty_bytes, 0, "dirty bytes of a second store");
});

const check::Register global_atomics("an atomic reads its sector, and makes it dirty", [] {
  Card card;
  const Counts counts = card.launch("count_atomic", strided(16));
  equal(counts.atomic_requests, 1, "requests");
  equal(counts.atomic_sectors, 32, "sectors");
  equal(counts.l2_new_bytes, 32 * 32, "new bytes");
  equal(counts.l2_dirty_bytes, 32 * 32, "dirty bytes");
  equal(counts.load_requests + counts.store_requests, 0, "other requests");
});

const check::Register copies("cp.async loads from global memory and stores to shared memory", [] {
  Card card;
  const Counts counts = card.launch("count_cp_async", strided(0, 40, 3), 64);
  equal(counts.cp_async, 2 * 3, "cp.async");
  equal(counts.shared_requests, 2 * 3, "shared requests");
  equal(counts.shared_wavefronts, 2 * 3 * 4, "wavefronts");
  equal(counts.shared_read, 0, "wavefronts that read");
  equal(counts.async_requests, 2 * 3, "loads");
  equal(counts.async_bytes, 3 * 40 * 16, "bytes: lanes from 40 on write zeros");
  equal(counts.async_sectors, 3 * 20, "sectors");
  equal(counts.async_lines, 3 * 5, "lines");
  equal(counts.load_requests, 0, "loads of other instructions");
  equal(counts.l2_sectors, 3 * 20, "sectors of L2, which cp.async asks every time");
  equal(counts.l2_new_bytes, 20 * 32, "new bytes");
});

// ---- caches ------------------------------------------------------------------------------------------------------

const check::Register l1("a block finds in L1 what it loaded, and another block does not", [] {
  Card card;
  const Counts counts = card.launch("count_load", strided(1, 0, 7), 32, 3);
  equal(counts.load_sectors, 3 * 7 * 4, "sectors");
  equal(counts.l2_sectors, 3 * 4, "sectors of L2");
  equal(counts.l2_new_bytes, 128, "new bytes");
});

const check::Register used_later("what a block asks for later of a sector that L1 has is used, too", [] {
  Card card;
  const Counts counts = card.launch("count_load_halves", strided(0), 32, 2);
  equal(counts.load_sectors, 2 * 64, "sectors");
  equal(counts.load_bytes, 2 * 1024, "bytes");
  equal(counts.l2_sectors, 2 * 32, "sectors of L2");
  equal(counts.l2_unused_bytes, 0, "unused bytes");
  equal(card.launch("count_load4", strided(2)).l2_unused_bytes, 512, "unused bytes of one half alone");
});

const check::Register l2("L2 keeps from launch to launch what fits", [] {
  Card card;
  const auto load = [&](int offset) {
    return card.launch("count_load", strided(1, offset), 256).l2_new_bytes;  // 1024 bytes
  };
  const Variable small("EMULATOR_L2", "2048");
  equal(load(0), 1024, "the first");
  equal(emu::last_counts().l2_first_bytes, 1024, "for the first time");
  equal(load(256), 1024, "the second");
  equal(load(0), 0, "both fit");
  equal(load(512), 1024, "the third, in the place of the first");
  equal(load(256), 0, "the second");
  equal(load(0), 1024, "the first, in the place of the second: the time of its use does not matter");
  equal(load(256), 1024, "the second");
});

const check::Register shared_l2("blocks share L2, and thrash it if it is small", [] {
  {
    Card card;
    equal(card.launch("count_load", strided(1), 512, 4).l2_new_bytes, 2048, "new bytes");
  }
  Card card;
  const Variable small("EMULATOR_L2", "1024");
  const Counts counts = card.launch("count_load", strided(1), 512, 4);
  equal(counts.l2_new_bytes, 4 * 2048, "new bytes of a small one");
  equal(counts.l2_first_bytes, 2048, "new bytes that come for the first time");
});

const check::Register written("what left L2 is dirty again after the next store", [] {
  Card card;
  const Variable small("EMULATOR_L2", "1024");
  const auto store = [&] { return card.launch("count_store", strided(1), 256).l2_dirty_bytes; };
  equal(store(), 1024, "the first");
  equal(store(), 0, "the same");
  card.launch("count_load", strided(1), 256);
  equal(store(), 1024, "after a load of as many bytes");
});

// ---- divergence --------------------------------------------------------------------------------------------------

const check::Register loops("lanes that leave a loop early take part in the requests before", [] {
  Card card;
  const Counts counts = card.launch("count_loops", strided(0));
  equal(counts.load_requests, 3 + 1, "requests");
  equal(counts.load_bytes, 4 * (24 + 16 + 8 + 32), "bytes");
});

const check::Register branches("places in the code make requests of their own", [] {
  Card card;
  const Counts counts = card.launch("count_branches", strided(0));
  equal(counts.store_requests, 2, "requests");
  equal(counts.store_bytes, 128, "bytes");
  equal(counts.store_sectors, 8, "sectors");
});

const check::Register rounds("accesses before and after an operation of the warp are different requests", [] {
  Card card;
  const Counts counts = card.launch("count_rounds", strided(0));
  equal(counts.load_requests, 4, "requests");
  equal(counts.load_bytes, 4 * 24 * 4, "bytes");
  equal(counts.load_sectors, 4 * 4, "sectors");
});

// ---- instructions ------------------------------------------------------------------------------------------------

const check::Register instructions("instructions are counted once for a warp, barriers once for a block", [] {
  Card card;
  const Counts counts = card.launch("count_instructions", strided(0, 0, 5), 128, 2);
  equal(counts.mma, 2 * 4 * 2 * 5, "mma");
  equal(counts.mma_k8, 2 * 4 * 5, "mma of depth 8");
  equal(counts.barriers, 2 * 5, "barriers");
  equal(counts.shuffles, 2 * 4 * 2, "shuffles");
  equal(counts.votes, 2 * 4, "votes");
  equal(counts.specials, 2 * 4 * 3, "special functions");
  const Counts matrices = card.launch("count_ldmatrix", strided(4, 0, 6));
  equal(matrices.ldmatrix, 6, "ldmatrix");
});

const check::Register schedules("counts do not depend on the order in which threads run", [] {
  for (const char* kernel : {"count_loops", "count_rounds", "count_branches", "count_instructions"}) {
    std::vector<Counts> all;
    for (const char* schedule : {"forward", "reverse", "7"}) {
      const Variable order("EMULATOR_SCHEDULE", schedule);
      Card card;
      all.push_back(card.launch(kernel, strided(0, 0, 2)));
    }
    check::that(std::memcmp(&all[0], &all[1], sizeof(Counts)) == 0, kernel, " reversed");
    check::that(std::memcmp(&all[0], &all[2], sizeof(Counts)) == 0, kernel, " in random order");
  }
});

// ---- launches ----------------------------------------------------------------------------------------------------

const check::Register failed("a launch that fails leaves nothing to the next", [] {
  Card card;
  try {
    card.launch("count_ldmatrix", strided(1, 0, 1));  // misaligned
    check::fail("it did not fail");
  } catch (const emu::Error&) {
  }
  equal(card.launch("count_shared_load", strided(1)).shared_requests, 1, "requests");
});

const check::Register stands_for("a launch stands for those that are equal in all but addresses", [] {
  Card a, b;
  const Variable once("EMULATOR_COUNT_EQUAL", "1");
  const auto new_bytes = [](Card& card, int offset) {
    return card.launch("count_load", strided(1, offset)).l2_new_bytes;
  };
  equal(new_bytes(a, 1024), 128, "the first runs");
  equal(new_bytes(a, 1024), 128, "the second does not");
  equal(new_bytes(b, 1024), 128, "nor does one of other memory");
  equal(new_bytes(b, 1032), 128, "other parameters run");
  const Variable twice("EMULATOR_COUNT_EQUAL", "2");
  equal(new_bytes(b, 1024), 32, "the second to run, which finds all but its first sector");
});

const check::Register lines("every launch is a line of JSON", [] {
  const std::string path = "count_test.lines";
  std::remove(path.c_str());
  Card card;
  {
    const Variable file("EMULATOR_COUNTS", path);
    card.launch("count_load", strided(1), 64, 3);
    card.launch("count_store", strided(1));
  }
  card.launch("count_store", strided(1));
  std::ifstream in(path);
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);) all.push_back(line);
  std::remove(path.c_str());
  check::that(all.size() == 2, all.size(), " lines");
  check::that(all[0].starts_with(R"({"kernel":"count_load","grid":[3,1,1],"block":[64,1,1],"shared_bytes":16384,)"),
              all[0]);
  check::that(all[0].find(R"("load_requests":6,)") != std::string::npos, all[0]);
  check::that(all[1].find(R"("store_sectors":4,)") != std::string::npos, all[1]);
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
