// The emulator notices mistakes in kernels that cause random results, hangs or crashes on a GPU. Each build notices
// some of them: plain, AddressSanitizer or race (see test/emulator/CMakeLists.txt). If a build cannot notice a mistake,
// the test runs only the kernel without it, and counts as skipped. Other tests check the promises of the driver that
// native/cuda relies on.

#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>

#include "../emulator/driver/images.h"
#include "../emulator/driver/memory.h"
#include "../emulator/half.h"
#include "../emulator/launch.h"
#include "../emulator/probe_kernels.h"
#include "check.h"
#include "emulated_gpu.h"
#include "made_images.h"

using namespace flow::cuda;
using namespace flow::emulated;

namespace {

enum Build : unsigned { plain = 1, asan = 2, race = 4, every = 7 };
#if defined(FLOW_EMULATOR_RACE)
constexpr Build this_build = race;
#elif defined(__SANITIZE_ADDRESS__)
constexpr Build this_build = asan;
#else
constexpr Build this_build = plain;
#endif

constexpr const char* other_build = "another build of the emulator notices this mistake";

constexpr const char* schedules[] = {"forward", "reverse", "7", "8"};

class Schedule {
 public:
  explicit Schedule(const char* name) { setenv("EMULATOR_SCHEDULE", name, 1); }
  ~Schedule() { unsetenv("EMULATOR_SCHEDULE"); }
};

// ---- mistakes of kernels -----------------------------------------------------------------------------------------

struct Probe {
  const char* kernel;
  unsigned threads = 128;
  unsigned blocks = 1;
  std::size_t shared_bytes = 0;
  std::size_t results = 128;
  emu::Begin begin = emu::Begin::after_previous;
};

struct Run {
  std::string error;
  std::vector<float> out;
};

Run run(const Probe& probe, bool bug, const char* schedule) {
  const Schedule scheduled(schedule);
  emu::Memory memory;
  constexpr std::size_t inputs = 128;
  auto* const in = static_cast<float*>(memory.allocate(inputs * sizeof(float), emu::Memory::Kind::device));
  auto* const out = static_cast<float*>(memory.allocate(probe.results * sizeof(float), emu::Memory::Kind::device));
  for (std::size_t i = 0; i < inputs; i++) in[i] = static_cast<float>(i * 37 % 101);
  std::memset(out, 0, probe.results * sizeof(float));
  Run result;
  try {
    if (probe.begin == emu::Begin::before_previous_ends) {  // after a kernel that writes `out`
      emu::launch("probe_blocks", dim3{1}, dim3{64}, 0, ProbeParams{out, in, 64, 0});
    }
    emu::launch(probe.kernel, dim3{probe.blocks}, dim3{probe.threads}, probe.shared_bytes,
                ProbeParams{out, in, static_cast<int>(probe.results), bug ? 1 : 0}, probe.begin);
    result.error = memory.broken_guard();
  } catch (const emu::Error& e) {
    result.error = e.what();
  }
  result.out.assign(out, out + probe.results);
  return result;
}

/// Runs the probe in a child process, because an error of AddressSanitizer ends the process.
bool ends_the_process(const Probe& probe) {
  const pid_t child = fork();
  check::that(child >= 0, "no child");
  if (child == 0) {
    (void)!freopen("/dev/null", "w", stderr);
    const Run result = run(probe, true, "forward");
    _exit(result.error.empty() ? 0 : 1);
  }
  int status = 0;
  check::that(waitpid(child, &status, 0) == child, "the child is lost");
  return status != 0;
}

/// Without the bug, the kernel has the same results under every schedule. With the bug, in each of `builds`, at least
/// one schedule has an error that contains `message`. If `message` is empty, any error or other results will do.
struct Notices : check::Register {
  Notices(const char* what, Probe probe, unsigned builds, std::string_view message = {})
      : Register(std::string("the emulator notices ") + what, [=] {
          const Run good = run(probe, false, "forward");
          check::that(good.error.empty(), "without the bug: ", good.error);
          for (const char* schedule : schedules) {
            const Run again = run(probe, false, schedule);
            check::that(again.error.empty(), "without the bug, ", schedule, ": ", again.error);
            check::that(again.out == good.out, "without the bug, ", schedule, ": other results");
          }
          if ((builds & this_build) == 0) check::skip(other_build);
          bool noticed = false;
          std::string errors;
          for (const char* schedule : schedules) {
            const Run bad = run(probe, true, schedule);
            errors += bad.error + "\n";
            noticed |= message.empty() ? !bad.error.empty() || bad.out != good.out
                                       : bad.error.find(message) != std::string::npos;
          }
          check::that(noticed, "it does not; errors: ", errors);
        }) {}
};

struct NoticesByAddress : check::Register {
  NoticesByAddress(const char* what, Probe probe)
      : Register(std::string("AddressSanitizer notices ") + what, [=] {
          const Run good = run(probe, false, "forward");
          check::that(good.error.empty(), "without the bug: ", good.error);
          if (this_build != asan) check::skip(other_build);
          check::that(ends_the_process(probe), "it does not");
        }) {}
};

constexpr std::size_t floats = 128 * sizeof(float);

const Notices results_without_barrier("a missing barrier, by its results", {"probe_barrier", 128, 1, floats}, every);
const Notices no_barrier("a missing barrier", {"probe_barrier", 128, 1, floats}, race, "probe_kernels.cu:");
const Notices no_syncwarp("a missing __syncwarp", {"probe_warp", 128, 1, floats}, race,
                          "race: read after an unsynchronised write");
const Notices no_wait("a missing wait for cp.async", {"probe_async_wait", 128, 1, floats}, every);
const Notices pending("a read before the wait for cp.async", {"probe_async_wait", 128, 1, floats}, race,
                      "read before the wait for cp.async");
const Notices reuse("a buffer that cp.async fills while it is read", {"probe_async_reuse", 64, 1, 64 * 16}, every);
const Notices reuse_race("a cp.async that races with readers", {"probe_async_reuse", 64, 1, 64 * 16}, race, "race:");
const Notices twice("a second cp.async to a place before the wait for the first", {"probe_async_twice", 32, 1, 32 * 16},
                    race, "write before the wait for cp.async");
const Notices over("a write to a place that cp.async fills", {"probe_async_over", 32, 1, 32 * 16}, race,
                   "write before the wait for cp.async");
const Notices matrix_wait("an ldmatrix before the wait for cp.async", {"probe_matrix_wait", 64, 1, 64 * 16}, race,
                          "read before the wait for cp.async");
const Notices matrix_reuse("a cp.async that races with an ldmatrix", {"probe_matrix_reuse", 64, 1, 64 * 16}, race,
                           "race:");
const Notices matrix_lanes("a cp.async that races with an ldmatrix of its own warp",
                           {"probe_matrix_lanes", 32, 1, 32 * 16}, race, "race:");
const Notices behind("a write behind global memory", {"probe_global_write"}, plain | race,
                     "wrote 0 bytes behind device");
const Notices before("a write before global memory", {"probe_global_write_before"}, plain | race,
                     "bytes before device");
const Notices read_behind("a read behind global memory, by its results", {"probe_global_read"}, plain | race);
const Notices shared_behind("a write behind shared memory", {"probe_shared_write", 128, 1, floats}, plain | race);
const Notices shared_read("a read behind shared memory, by its results", {"probe_shared_read", 128, 1, floats},
                          plain | race);
const NoticesByAddress global_write_asan("a write behind global memory", {"probe_global_write"});
const NoticesByAddress global_before_asan("a write before global memory", {"probe_global_write_before"});
const NoticesByAddress global_read_asan("a read behind global memory", {"probe_global_read"});
const NoticesByAddress shared_write_asan("a write behind shared memory", {"probe_shared_write", 128, 1, floats});
const NoticesByAddress shared_read_asan("a read behind shared memory", {"probe_shared_read", 128, 1, floats});
const Notices fresh("what nobody wrote to shared memory, by its results", {"probe_uninitialised", 128, 1, floats},
                    every);
const Notices fresh_race("what nobody wrote to shared memory", {"probe_uninitialised", 128, 1, floats}, race,
                         "read of uninitialised memory");
const Notices divergent("a divergent barrier", {"probe_divergent_barrier"}, every,
                        "[probe_divergent_barrier, block (0, 0, 0), thread (");
const Notices divergent_warp("a divergent warp", {"probe_divergent_warp"}, every, "deadlock");
const Notices early_exit("a return before a barrier", {"probe_early_exit"}, every, "the others have returned");
const Notices misaligned("a misaligned ldmatrix", {"probe_misaligned", 32, 1, 512 + 16}, every, "not a multiple of 16");
const Notices outside_copy("a cp.async of zeros from an address outside global memory",
                           {"probe_outside_copy", 32, 1, 512}, race, "is not in global memory");
const Notices misaligned_copy("a misaligned cp.async", {"probe_misaligned_copy", 32, 1, 512}, every, "misaligned");
const Notices sum("a sum that is not atomic", {"probe_sum"}, race, "race:");
const Notices blocks("blocks that write to the same place", {"probe_blocks", 64, 2}, race, "of another block");
constexpr Probe early(const char* kernel) { return {.kernel = kernel, .begin = emu::Begin::before_previous_ends}; }
const Notices never_waits("a launch that may begin early and does not wait", early("probe_no_wait"), every,
                          "without a wait for the launches before");
const Notices early_read("a read of a kernel's result before the wait for it", early("probe_early_read"), race,
                         "read of a kernel's result before the wait");
const Notices early_write("a write before the wait for other launches", early("probe_early_write"), race,
                          "write before the wait");
const Notices last_block("a last block without a fence", {"probe_last_block", 64, 5, 4, 64 * 6 + 16}, race,
                         "of another block");

// ---- arithmetic of kernels ------------------------------------------------------------------------------------------

const check::Register lanes("lanes give each other what the instructions say", [] {
  for (const char* schedule : schedules) {
    const Run result = run({"probe_lanes", 32, 1, 0, 224}, false, schedule);
    check::that(result.error.empty(), result.error);
    const auto in = [](int i) { return static_cast<float>(i * 37 % 101); };
    for (int t = 0; t < 32; t++) {
      const float expected[] = {in(5),
                                in(t ^ 3),
                                in(t < 28 ? t + 4 : t),
                                in(t % 16 >= 4 ? t - 4 : t),
                                static_cast<float>(0x49249249U >> 8),
                                5,
                                7 + 100 + 1000};
      for (int kind = 0; kind < 7; kind++) {
        const float actual = result.out[static_cast<std::size_t>(32 * kind + t)];
        check::that(actual == expected[kind], "kind ", kind, ", lane ", t, ": ", actual, " for ", expected[kind]);
      }
    }
  }
});

template <class T>
void check_product(const char* kernel, bool transposed, T (*convert)(float)) {
  std::vector<T> a(256), b(128);
  std::vector<double> x(256), y(128);
  // Small integers: every product and sum is exact.
  for (std::size_t i = 0; i < 256; i++)
    x[i] = static_cast<double>(i * 7 % 31) - 15, a[i] = convert(static_cast<float>(x[i]));
  for (std::size_t i = 0; i < 128; i++)
    y[i] = static_cast<double>(i * 11 % 29) - 14, b[i] = convert(static_cast<float>(y[i]));
  for (const char* schedule : schedules) {
    const Schedule scheduled(schedule);
    std::vector<float> d(128, -1);
    emu::launch(kernel, dim3{}, dim3{32}, 768, TensorParams{a.data(), b.data(), d.data()});
    for (std::size_t m = 0; m < 16; m++) {
      for (std::size_t n = 0; n < 8; n++) {
        double expected = 0;
        for (std::size_t k = 0; k < 16; k++) expected += x[m * 16 + k] * (transposed ? y[n * 16 + k] : y[k * 8 + n]);
        check::that(d[m * 8 + n] == expected, kernel, " [", m, "][", n, "]: ", d[m * 8 + n], " for ", expected);
      }
    }
  }
}

const check::Register products("ldmatrix and mma multiply matrices", [] {
  check_product<__half>("probe_mma_f16", false, __float2half_rn);
  check_product<__half>("probe_mma_f16_transposed", true, __float2half_rn);
  check_product<__nv_bfloat16>("probe_mma_bf16", false, __float2bfloat16_rn);
});

const check::Register halves("16-bit numbers round to the nearest, ties to even", [] {
  struct Case {
    float x;
    unsigned f16, bf16;
  };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Case cases[] = {
      {0.F, 0x0000, 0x0000},
      {-0.F, 0x8000, 0x8000},
      {1.F, 0x3c00, 0x3f80},
      {-2.F, 0xc000, 0xc000},
      {65504.F, 0x7bff, 0x4780},
      {65519.996F, 0x7bff, 0x4780},  // the last that does not overflow
      {65520.F, 0x7c00, 0x4780},
      {-1e6F, 0xfc00, 0xc974},
      {infinity, 0x7c00, 0x7f80},
      {-infinity, 0xfc00, 0xff80},
      {std::numeric_limits<float>::quiet_NaN(), 0x7fff, 0x7fff},
      {1.F + 0x1p-11F, 0x3c00, 0x3f80},      // a tie, to even: down
      {1.F + 3 * 0x1p-11F, 0x3c02, 0x3f80},  // a tie: up
      {1.F + 0x1p-11F + 0x1p-20F, 0x3c01, 0x3f80},
      {1.F + 0x1p-8F, 0x3c04, 0x3f80},  // ties of bfloat16
      {1.F + 3 * 0x1p-8F, 0x3c0c, 0x3f82},
      {0x1p-14F, 0x0400, 0x3880},  // the smallest normal
      {0x1p-24F, 0x0001, 0x3380},  // the smallest subnormal
      {0x1p-25F, 0x0000, 0x3300},  // a tie with zero
      {0x1.8p-25F, 0x0001, 0x3340},
      {0x1p-26F, 0x0000, 0x3280},
      {3 * 0x1p-25F, 0x0002, 0x33c0},
      {std::numeric_limits<float>::max(), 0x7c00, 0x7f80},
      {std::bit_cast<float>(0x7f7f7fffU), 0x7c00, 0x7f7f},
      {std::bit_cast<float>(0x00000001U), 0x0000, 0x0000},  // the smallest float
      {std::bit_cast<float>(0x00018000U), 0x0000, 0x0002},  // subnormal ties of bfloat16
      {std::bit_cast<float>(0x00008000U), 0x0000, 0x0000},
  };
  for (const Case& c : cases) {
    check::that(__float2half_rn(c.x).bits == c.f16, c.x, " is f16 ", __float2half_rn(c.x).bits, ", not ", c.f16);
    check::that(__float2bfloat16_rn(c.x).bits == c.bf16, c.x, " is bf16 ", __float2bfloat16_rn(c.x).bits, ", not ",
                c.bf16);
  }
  for (unsigned bits = 0; bits < 0x10000; bits++) {  // and back
    const auto half = static_cast<std::uint16_t>(bits);
    const float f = __half2float({half}), b = __bfloat162float({half});
    check::that(std::isnan(f) ? (bits & 0x7fff) > 0x7c00 : __float2half_rn(f).bits == half, "f16 ", bits);
    check::that(std::isnan(b) ? (bits & 0x7fff) > 0x7f80 : __float2bfloat16_rn(b).bits == half, "bf16 ", bits);
  }
  check::that(__half2float({0x3555}) == 0x1.554p-2F && __half2float({0x0001}) == 0x1p-24F, "values of f16");
});

const check::Register refused("a launch that the device would refuse runs nothing", [] {
  const auto refuses = [](dim3 grid, dim3 block, std::size_t shared) {
    try {
      emu::launch("probe_early_exit", grid, block, shared, ProbeParams{nullptr, nullptr, 0, 0});
    } catch (const emu::ConfigurationError&) {
      return true;
    }
    return false;
  };
  check::that(refuses({1}, {0}, 0), "no threads");
  check::that(refuses({0}, {128}, 0), "no blocks");
  check::that(refuses({1}, {160}, 0), "more threads than the kernel was built for");
  check::that(refuses({1, 70000}, {128}, 0), "a tall grid");
  check::that(refuses({1}, {128}, 300 << 10), "shared memory");
});

// ---- the driver -----------------------------------------------------------------------------------------------------

const OnGpu fresh_memory("fresh memory is poison, of the promised alignment and no better", [](Gpu& gpu) {
  const CUdeviceptr p = gpu.floats(100);
  check::that(p % 256 == 0 && p % 512 != 0, "alignment");
  for (const float x : gpu.read(p, 100)) check::that(std::isnan(x), "no poison");
});

const OnGpu memory_limit("memory is counted, and ends", [](Gpu& gpu) {
  const Variable small("EMULATOR_MEMORY", "1000000");
  std::size_t free = 0, total = 0;
  const CUdeviceptr p = gpu.floats(100000);
  ok(cuMemGetInfo_v2(&free, &total), "cuMemGetInfo");
  check::that(total == 1000000 && free == 600000, "free: ", free);
  CUdeviceptr q = 0;
  expect(cuMemAlloc_v2(&q, 600001), CUDA_ERROR_OUT_OF_MEMORY, "more than there is");
  ok(cuMemFree_v2(p), "cuMemFree");
  ok(cuMemAlloc_v2(&q, 600001), "after the other is freed");
  expect(cuMemFree_v2(p), CUDA_ERROR_INVALID_VALUE, "the same twice");
  expect(cuMemFree_v2(q + 4), CUDA_ERROR_INVALID_VALUE, "the middle of an allocation");
});

const OnGpu copies("copies stay within one allocation", [](Gpu& gpu) {
  const CUdeviceptr p = gpu.floats(10), q = gpu.floats(10);
  float host[20] = {};
  expect(cuMemcpyHtoDAsync_v2(p, host, 44, gpu.stream), CUDA_ERROR_INVALID_VALUE, "too much to the device");
  expect(cuMemcpyDtoHAsync_v2(host, p + 4, 40, gpu.stream), CUDA_ERROR_INVALID_VALUE, "too much from the device");
  expect(cuMemcpyDtoDAsync_v2(p, q - 4, 40, gpu.stream), CUDA_ERROR_INVALID_VALUE, "from before an allocation");
  expect(cuMemsetD8Async(p + 40, 0, 1, gpu.stream), CUDA_ERROR_INVALID_VALUE, "behind an allocation");
  ok(cuMemsetD8Async(p + 4, 0, 36, gpu.stream), "within");
  ok(cuMemFree_v2(q), "cuMemFree");
  expect(cuMemcpyDtoDAsync_v2(p, q, 40, gpu.stream), CUDA_ERROR_INVALID_VALUE, "from freed memory");
});

const OnGpu guarded("a broken guard zone is the context's error", [](Gpu& gpu) {
  if (this_build == asan) check::skip("AddressSanitizer would end the process");
  const CUdeviceptr in = gpu.floats(128), out = gpu.floats(128);
  gpu.write(in, 1, 128);
  ok(gpu.launch(gpu.function("probe_global_write"), Gpu::params(in, out)), "without the bug");
  ok(cuStreamSynchronize(gpu.stream), "cuStreamSynchronize");
  ok(gpu.launch(gpu.function("probe_global_write"), Gpu::params(in, out, true)), "a launch returns before it fails");
  expect(cuStreamSynchronize(gpu.stream), CUDA_ERROR_ILLEGAL_ADDRESS, "and is found out");
  expect(cuMemFree_v2(in), CUDA_ERROR_ILLEGAL_ADDRESS, "for good");
});

const OnGpu overrun_by_host("what the host writes behind its pinned memory is found when it is freed", [](Gpu& gpu) {
  if (this_build == asan) check::skip("AddressSanitizer would end the process");
  void* p = nullptr;
  ok(cuMemHostAlloc(&p, 100, CU_MEMHOSTALLOC_PORTABLE), "cuMemHostAlloc");
  auto* volatile bytes = static_cast<unsigned char*>(p);
  bytes[101] = 0;
  ok(cuMemFreeHost(p), "cuMemFreeHost");
  expect(cuStreamSynchronize(gpu.stream), CUDA_ERROR_ILLEGAL_ADDRESS, "afterwards");
});

const check::Register sticky("a failed launch sticks to its context, and a new one is free of it", [] {
  {
    Gpu gpu;
    const CUdeviceptr in = gpu.floats(128), out = gpu.floats(128);
    ok(gpu.launch(gpu.function("probe_early_exit"), Gpu::params(in, out, true)), "a launch returns before it fails");
    CUdeviceptr p = 0;
    expect(cuMemAlloc_v2(&p, 4), CUDA_ERROR_LAUNCH_FAILED, "cuMemAlloc");
    expect(cuStreamSynchronize(gpu.stream), CUDA_ERROR_LAUNCH_FAILED, "cuStreamSynchronize");
  }
  Gpu gpu;
  ok(cuStreamSynchronize(gpu.stream), "in the next context");
});

const OnGpu replays("a capture runs nothing, and its replays do", [](Gpu& gpu) {
  const CUdeviceptr in = gpu.floats(128), out = gpu.floats(128);
  const CUfunction copy = gpu.function("probe_global_read");
  ok(cuMemsetD8Async(out, 0, 512, gpu.stream), "cuMemsetD8Async");
  float host[128] = {};
  ok(cuStreamBeginCapture_v2(gpu.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  ok(cuMemcpyHtoDAsync_v2(in, host, sizeof host, gpu.stream), "cuMemcpyHtoDAsync");
  ok(gpu.launch(copy, Gpu::params(in, out)), "cuLaunchKernel");  // its parameters no longer exist when it is replayed
  CUgraph graph = nullptr;
  ok(cuStreamEndCapture(gpu.stream, &graph), "cuStreamEndCapture");
  CUgraphExec executable = nullptr;
  ok(cuGraphInstantiateWithFlags(&executable, graph, 0), "cuGraphInstantiate");
  ok(cuGraphDestroy(graph), "cuGraphDestroy");
  host[5] = 17;
  check::that(gpu.read(out, 128)[5] == 0, "it ran when it was captured");
  for (const float x : {17.F, 18.F}) {
    host[5] = x;
    ok(cuGraphLaunch(executable, gpu.stream), "cuGraphLaunch");
    check::that(gpu.read(out, 128)[5] == x, "replay");
  }
  ok(cuMemFree_v2(in), "cuMemFree");
  ok(cuGraphLaunch(executable, gpu.stream), "a replay returns before it fails");
  expect(cuStreamSynchronize(gpu.stream), CUDA_ERROR_ILLEGAL_ADDRESS, "a copy to freed memory");
  expect(cuGraphExecDestroy(executable), CUDA_ERROR_ILLEGAL_ADDRESS, "for good");
});

const OnGpu forbidden("calls that a capture forbids end it", [](Gpu& gpu) {
  const auto captures = [&](int expected, auto call) {
    ok(cuStreamBeginCapture_v2(gpu.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
    expect(call(), expected, "the call");
    CUgraph graph = nullptr;
    expect(cuStreamEndCapture(gpu.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "cuStreamEndCapture");
    check::that(graph == nullptr, "a graph");
    ok(cuStreamSynchronize(gpu.stream), "the stream afterwards");
  };
  const CUdeviceptr p = gpu.floats(1);
  captures(900, [] {
    CUdeviceptr q;
    return cuMemAlloc_v2(&q, 16);
  });
  captures(900, [&] { return cuMemFree_v2(p); });
  captures(900, [] {
    void* q;
    return cuMemHostAlloc(&q, 16, 0);
  });
  captures(900, [&] { return cuStreamSynchronize(gpu.stream); });
  captures(901, [&] {
    cuStreamSynchronize(gpu.stream);
    return cuMemsetD8Async(p, 0, 4, gpu.stream);
  });
  CUevent event = nullptr;
  ok(cuEventCreate(&event, CU_EVENT_DEFAULT), "cuEventCreate");
  captures(907, [&] {
    ok(cuEventRecord(event, gpu.stream), "cuEventRecord");
    return cuEventSynchronize(event);
  });
  // Meanwhile another thread may make any call.
  ok(cuStreamBeginCapture_v2(gpu.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  CUresult elsewhere = CUDA_ERROR_UNKNOWN;
  std::thread([&] {
    CUdeviceptr q = 0;
    cuCtxSetCurrent(gpu.context);
    elsewhere = cuMemAlloc_v2(&q, 16);
  }).join();
  CUgraph graph = nullptr;
  ok(elsewhere, "cuMemAlloc of another thread");
  ok(cuStreamEndCapture(gpu.stream, &graph), "cuStreamEndCapture");
});

const OnGpu faults("faults are injected where the environment says", [](Gpu& gpu) {
  CUdeviceptr p = 0;
  {
    const Variable fail("EMULATOR_FAIL", "cuMemAlloc:2,cuEventCreate:1:801");
    CUevent event = nullptr;
    ok(cuMemAlloc_v2(&p, 4), "the first");
    expect(cuMemAlloc_v2(&p, 4), CUDA_ERROR_OUT_OF_MEMORY, "the second");
    ok(cuMemAlloc_v2(&p, 4), "the third");
    expect(cuEventCreate(&event, 0), 801, "a code");
  }
  ok(cuMemAlloc_v2(&p, 4), "without");
  const CUdeviceptr in = gpu.floats(128), out = gpu.floats(128);
  gpu.write(in, 1, 128);
  const Variable fail("EMULATOR_FAIL", "cuLaunchKernel:3+");
  const CUfunction f = gpu.function("probe_global_read");
  for (int i = 1; i <= 2; i++) ok(gpu.launch(f, Gpu::params(in, out)), "a launch before it");
  expect(gpu.launch(f, Gpu::params(in, out)), CUDA_ERROR_LAUNCH_FAILED, "the launch");
  expect(cuStreamSynchronize(gpu.stream), CUDA_ERROR_LAUNCH_FAILED, "it sticks");
});

const OnGpu shared_limit("more than 48 KiB of shared memory must be asked for", [](Gpu& gpu) {
  const CUdeviceptr in = gpu.floats(128), out = gpu.floats(128);
  const CUfunction f = gpu.function("probe_barrier");
  gpu.write(in, 1, 128);
  expect(gpu.launch(f, Gpu::params(in, out), 64 << 10), CUDA_ERROR_INVALID_VALUE, "unasked");
  expect(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 228 << 10), CUDA_ERROR_INVALID_VALUE,
         "more than there is");
  ok(cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 64 << 10), "cuFuncSetAttribute");
  ok(gpu.launch(f, Gpu::params(in, out), 64 << 10), "asked for");
  ok(cuStreamSynchronize(gpu.stream), "cuStreamSynchronize");
});

const OnGpu handles("handles and contexts are checked", [](Gpu& gpu) {
  CUfunction f = nullptr;
  expect(cuModuleGetFunction(&f, gpu.module, "no_such_kernel"), CUDA_ERROR_NOT_FOUND, "an unknown kernel");
  CUstream stream = nullptr;
  ok(cuStreamCreate(&stream, 0), "cuStreamCreate");
  ok(cuStreamDestroy_v2(stream), "cuStreamDestroy");
  expect(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE, "a destroyed stream");
  f = gpu.function("probe_barrier");
  ok(cuModuleUnload(gpu.module), "cuModuleUnload");
  expect(gpu.launch(f, Gpu::params(0, 0), 512), CUDA_ERROR_INVALID_HANDLE, "a kernel of an unloaded module");
  CUresult elsewhere = CUDA_SUCCESS;
  std::thread([&] { elsewhere = cuStreamSynchronize(gpu.stream); }).join();
  expect(elsewhere, CUDA_ERROR_INVALID_CONTEXT, "a thread without a context");
});

const OnGpu devices("the device is what the environment says", [](Gpu&) {
  const auto attribute = [](CUdevice_attribute which) {
    int value = -1;
    ok(cuDeviceGetAttribute(&value, which, 0), "cuDeviceGetAttribute");
    return value;
  };
  check::that(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) == 9, "capability");
  const Variable old("EMULATOR_CAPABILITY", "7.5"), sms("EMULATOR_SMS", "3");
  check::that(attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) == 5, "capability");
  check::that(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN) == 64 << 10, "shared memory");
  check::that(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) == 3, "multiprocessors");
  const Variable none("EMULATOR_DEVICES", "0");
  expect(cuInit(0), CUDA_ERROR_NO_DEVICE, "cuInit");
});

// ---- drivers and images ------------------------------------------------------------------------------------------

/// A driver of a CUDA version, 12020 for 12.2, on a GPU of a capability, judges images.
struct Judge {
  int version;
  emu::device::Capability gpu;

  void expect(const std::string& image, CUresult result, const char* what) const {
    const CUresult judged = emu::judge_image(image.data(), version, gpu).result;
    check::that(judged == result, what, ": ", judged, " from the driver of ", version, " on ", gpu.major, ".",
                gpu.minor);
  }
};

const check::Register machine_code("machine code runs on its own major capability, and no lower minor one", [] {
  using flow::made_images::cubin;
  for (const int abi : {7, 8}) {
    const Judge on89{13000, {8, 9}};
    for (const int sm : {80, 86, 89}) on89.expect(cubin(abi, sm), CUDA_SUCCESS, "an older one of its major");
    for (const int sm : {75, 90, 120}) on89.expect(cubin(abi, sm), CUDA_ERROR_NO_BINARY_FOR_GPU, "another major");
    on89.expect(cubin(abi, 87), CUDA_ERROR_NO_BINARY_FOR_GPU, "a Tegra's");
    Judge{13000, {8, 0}}.expect(cubin(abi, 86), CUDA_ERROR_NO_BINARY_FOR_GPU, "a newer minor one");
    Judge{13000, {8, 7}}.expect(cubin(abi, 87), CUDA_SUCCESS, "a Tegra's own");
    Judge{13000, {8, 7}}.expect(cubin(abi, 80), CUDA_ERROR_NO_BINARY_FOR_GPU, "another's on a Tegra");
  }
});

const check::Register elf_abi("a driver older than CUDA 13 refuses machine code of CUDA 13", [] {
  using flow::made_images::cubin;
  for (const int version : {11040, 12020, 12090}) {
    Judge{version, {8, 0}}.expect(cubin(7, 80), CUDA_SUCCESS, "ABI 7");
    Judge{version, {8, 0}}.expect(cubin(8, 80), CUDA_ERROR_INVALID_IMAGE, "ABI 8");
  }
  Judge{13000, {8, 0}}.expect(cubin(8, 80), CUDA_SUCCESS, "ABI 8");
  Judge{13000, {8, 0}}.expect(cubin(9, 80), CUDA_ERROR_INVALID_IMAGE, "ABI 9");
});

const check::Register ptx_version("a driver refuses PTX that is newer than its compiler, or for a newer GPU", [] {
  using flow::made_images::ptx;
  struct Case {
    int version;
    const char *known, *unknown;
  };
  for (const Case c :
       {Case{11040, "7.4", "7.5"}, {12020, "8.2", "8.3"}, {12060, "8.5", "8.6"}, {13000, "9.0", "9.1"}}) {
    const Judge judge{c.version, {8, 6}};
    judge.expect(ptx(c.known, "80"), CUDA_SUCCESS, c.known);
    judge.expect(ptx("7.0", "80"), CUDA_SUCCESS, "7.0");
    judge.expect(ptx(c.unknown, "80"), CUDA_ERROR_UNSUPPORTED_PTX_VERSION, c.unknown);
    judge.expect(ptx("7.0", "90"), CUDA_ERROR_INVALID_PTX, "a newer GPU's");
  }
  Judge{13000, {9, 0}}.expect(ptx("8.0", "90a"), CUDA_SUCCESS, "sm_90a on 9.0");
  Judge{13000, {10, 0}}.expect(ptx("8.0", "90a"), CUDA_ERROR_INVALID_PTX, "sm_90a on 10.0");
  Judge{13000, {8, 0}}.expect("no image at all", CUDA_ERROR_INVALID_IMAGE, "another text");
});

const check::Register compression("a driver takes from a fatbin what it can read", [] {
  using namespace flow::made_images;
  const Judge driver114{11040, {8, 6}}, driver122{12020, {8, 6}}, driver126{12060, {8, 6}}, driver130{13000, {8, 6}};
  const Entry code{false, 1, 7, 80}, newer{false, 1, 8, 80}, text{true, 7, 4, 80}, newest{true, 9, 0, 80};
  const auto packed = [](Entry e, Compression how) {
    e.compression = how;
    return fatbin({e});
  };
  for (const Judge& judge : {driver114, driver122}) {
    judge.expect(packed(code, Compression::lz4), CUDA_SUCCESS, "LZ4");
    judge.expect(packed(code, Compression::zstandard), CUDA_ERROR_NO_BINARY_FOR_GPU, "zstd");
    judge.expect(packed(text, Compression::zstandard), CUDA_ERROR_NO_BINARY_FOR_GPU, "PTX by zstd");
  }
  driver126.expect(packed(code, Compression::zstandard), CUDA_SUCCESS, "zstd");
  driver126.expect(packed(newer, Compression::zstandard), CUDA_ERROR_NO_BINARY_FOR_GPU, "ABI 8");
  driver126.expect(fatbin({newer, newest}), CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "only newer ones");
  driver126.expect(fatbin({newer, newest, text}), CUDA_SUCCESS, "one of three");
  driver130.expect(packed(newer, Compression::zstandard), CUDA_SUCCESS, "ABI 8");
  const Judge h100{13000, {9, 0}}, gh200_to_be{13000, {9, 1}};
  h100.expect(fatbin({{false, 1, 8, 90, true}}), CUDA_SUCCESS, "sm_90a");
  gh200_to_be.expect(fatbin({{false, 1, 8, 90, true}}), CUDA_ERROR_NO_BINARY_FOR_GPU, "sm_90a on 9.1");
});

const OnGpu refused_image("an image that the driver refuses makes no module", [](Gpu&) {
  const Variable old("EMULATOR_DRIVER_VERSION", "12020");
  CUmodule module = nullptr;
  expect(cuModuleLoadData(&module, flow::made_images::cubin(8, 90).data()), CUDA_ERROR_INVALID_IMAGE, "a new cubin");
  check::that(module == nullptr, "a module");
  ok(cuModuleLoadData(&module, flow::made_images::cubin(7, 90).data()), "an old cubin");
});

const OnGpu newer_gpu("a driver does not show a GPU that is newer than itself", [](Gpu&) {
  struct Case {
    const char *capability, *last_without, *first_with;
  };
  for (const Case c : {Case{"8.9", "11070", "11080"},
                       {"9.0", "11040", "12020"},
                       {"12.0", "12060", "12080"},
                       {"11.0", "12090", "13000"}}) {
    const Variable gpu("EMULATOR_CAPABILITY", c.capability);
    const Variable older("EMULATOR_DRIVER_VERSION", c.last_without);
    expect(cuInit(0), CUDA_ERROR_NO_DEVICE, c.capability);
    setenv("EMULATOR_DRIVER_VERSION", c.first_with, 1);
    ok(cuInit(0), c.capability);
  }
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
