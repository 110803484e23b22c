#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

// The count build: what every launch does, in the units that a GPU spends its time on. Kernels are instrumented
// (instrumented.cpp). Accesses of the lanes of a warp are put together into requests (requests.h).
//
// Not counted, because nothing here sees it: arithmetic other than mma and special functions (FMAs, integers, plain
// divisions), local memory, the constant bank (a kernel's parameters), and what a cache of instructions does. Loads and
// stores are those that g++ leaves in the optimised kernel; nvcc may merge or repeat others.
//
// Environment variables:
//
//   EMULATOR_COUNTS       a file, to which every launch and every copy appends a line of JSON; read at every launch
//   EMULATOR_COUNT_EQUAL  how many launches are run that are equal in all but addresses (all). Of more, the counts are
//                         those of the last one that ran, and their results are not computed. Read at every launch
//   EMULATOR_COUNT_PATH   a name that the lines of later launches bear as "path": of a branch of the frame, or of what
//                         runs beside it. Read at every launch
//   EMULATOR_L2           bytes of the L2 cache (50 MiB); read at every launch

namespace emu {

struct Launch;

/// Of one launch. A request is one memory instruction of one warp. Its line has "programmatic":1 if it may begin before
/// the launches before it are done.
struct Counts {
  // instructions of warps
  std::uint64_t mma = 0;     // m16n8k16, 4096 FLOP each
  std::uint64_t mma_k8 = 0;  // m16n8k8
  std::uint64_t ldmatrix = 0;
  std::uint64_t cp_async = 0;
  std::uint64_t shuffles = 0;
  std::uint64_t votes = 0;
  std::uint64_t specials = 0;  // special functions of arithmetic.h: exponentials, logarithms, roots, sines
  std::uint64_t barriers = 0;  // __syncthreads, once for a block

  // Shared memory: 32 banks of 4 bytes. A wavefront reads or writes one word of each bank; several lanes may share a
  // word. Accesses of 8 bytes are done by half warps, those of 16 bytes by quarters, a matrix of ldmatrix by itself.
  std::uint64_t shared_requests = 0;  // loads, stores, atomics, ldmatrix, and cp.async's stores
  std::uint64_t shared_wavefronts = 0;
  std::uint64_t shared_read = 0;   // the wavefronts that read, atomics included; the others only write
  std::uint64_t shared_least = 0;  // the wavefronts that these requests would take without bank conflicts

  // Global memory: sectors of 32 bytes in lines of 128. The bytes are those that lanes ask for; each is counted once in
  // a request.
  std::uint64_t load_requests = 0, load_bytes = 0, load_sectors = 0, load_lines = 0;
  std::uint64_t async_requests = 0, async_bytes = 0, async_sectors = 0, async_lines = 0;  // the loads of cp.async
  std::uint64_t store_requests = 0, store_bytes = 0, store_sectors = 0, store_lines = 0;
  std::uint64_t atomic_requests = 0, atomic_sectors = 0;

  // The caches, see l2.h
  std::uint64_t l2_sectors = 0;       // that pass between L1 and L2
  std::uint64_t l2_unused_bytes = 0;  // of these, the bytes that no lane of the block asks for while L1 has them
  std::uint64_t l2_new_bytes = 0;     // that L2 reads from memory
  std::uint64_t l2_first_bytes = 0;   // of these, the bytes that come for the first time in this launch
  std::uint64_t l2_dirty_bytes = 0;   // that L2 will write to memory
};

enum class Instruction { mma, mma_k8, shuffle, vote, barrier };
enum class Traffic { load, store, atomic, async_load, async_store, special };

#ifdef FLOW_EMULATOR_COUNT

/// Counts an instruction of the running warp; call once for all of its lanes.
void count_instruction(Instruction instruction);
/// Counts an access of the running thread at its fiber's site.
void count_access(Traffic traffic, const void* p, std::size_t bytes);
/// Counts an ldmatrix of the running warp. Every lane of the matrices has the address of a row of 16 bytes.
void count_matrices(const void* const* rows, int matrices);
/// Counts a call of a special function at the caller's place.
void count_special();

/// All lanes of a warp of the running block have arrived at one place: their accesses so far form complete requests.
void complete_requests(unsigned warp);

/// Call before the blocks of a launch run. False if an equal launch stands for it, so that they need not run.
bool begin_counts(const Launch& launch);
void end_counts(const Launch& launch);
/// Of the launch that ended last.
const Counts& last_counts();

/// Notes a copy or a fill that the driver does; no kernel does it.
void note_copy(const char* what, std::size_t bytes);

#else

inline void count_instruction(Instruction) {}
inline void count_access(Traffic, const void*, std::size_t) {}
inline void count_matrices(const void* const*, int) {}
inline void count_special() {}
inline void complete_requests(unsigned) {}
inline bool begin_counts(const Launch&) { return true; }
inline void end_counts(const Launch&) {}
inline void note_copy(const char*, std::size_t) {}

#endif

}  // namespace emu
