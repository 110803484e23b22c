// With EMULATOR_STREAMS, work of the emulated GPU runs in any order that CUDA allows, and in no other. The tests of
// emulator_test.cpp run it at once.

#include <algorithm>
#include <set>
#include <string>
#include <thread>

#include "check.h"
#include "emulated_gpu.h"

using namespace flow::cuda;
using namespace flow::emulated;

extern "C" CUresult cuEventQuery(CUevent event);
extern "C" CUresult cuLaunchHostFunc(CUstream stream, void (*function)(void*), void* data);

namespace {

constexpr int seeds = 60;

struct Streams {
  CUcontext context;
  CUstream a, b;         // wait for nothing but what they are told to
  CUstream blocking;     // waits for the legacy default stream
  CUevent event, other;  // without timing
  CUdeviceptr p, q;      // one byte each, 0

  explicit Streams(const Gpu& gpu) : context(gpu.context) {
    ok(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    ok(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    ok(cuStreamCreate(&blocking, 0), "cuStreamCreate");
    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    ok(cuEventCreate(&other, CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    ok(cuMemAlloc_v2(&p, 1), "cuMemAlloc");
    ok(cuMemAlloc_v2(&q, 1), "cuMemAlloc");
    set(p, 0, a);
    set(q, 0, a);
    ok(cuStreamSynchronize(a), "cuStreamSynchronize");
  }

  static void set(CUdeviceptr at, int value, CUstream stream) {
    ok(cuMemsetD8Async(at, static_cast<unsigned char>(value), 1, stream), "cuMemsetD8Async");
  }
  static void copy(CUdeviceptr to, CUdeviceptr from, CUstream stream) {
    ok(cuMemcpyDtoDAsync_v2(to, from, 1, stream), "cuMemcpyDtoDAsync");
  }
  static void record(CUevent event, CUstream stream) { ok(cuEventRecord(event, stream), "cuEventRecord"); }
  static void wait(CUstream stream, CUevent event) { ok(cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent"); }
  static int read(CUdeviceptr from, CUstream stream) {
    unsigned char value = 77;
    ok(cuMemcpyDtoHAsync_v2(&value, from, 1, stream), "cuMemcpyDtoHAsync");
    ok(cuStreamSynchronize(stream), "cuStreamSynchronize");
    return value;
  }
};

/// The answers of `body(Streams&)` in all orders that are tried.
template <class Body>
std::set<int> answers(const Gpu& gpu, const Body& body) {
  std::set<int> all;
  for (int seed = 0; seed <= seeds; seed++) {
    Streams streams(gpu);
    const Variable order("EMULATOR_STREAMS", seed == 0 ? "late" : std::to_string(seed).c_str());
    all.insert(body(streams));
  }
  return all;
}

std::string text(const std::set<int>& values) {
  std::string all = "{";
  for (const int value : values) all += " " + std::to_string(value);
  return all + " }";
}

/// `body` has these answers, all of them and no others.
struct Answers : check::Register {
  Answers(const char* name, const std::set<int>& expected, int (*body)(Streams&))
      : Register(name, [=] {
          const Gpu gpu;
          const std::set<int> found = answers(gpu, body);
          check::that(found == expected, text(found), " for ", text(expected));
        }) {}
};

const Answers one_stream("work of one stream runs in its order", {5}, [](Streams& s) {
  for (int i = 1; i <= 5; i++) s.set(s.p, i, s.a);
  s.copy(s.q, s.p, s.a);
  s.set(s.p, 6, s.a);
  return s.read(s.q, s.a);
});

const Answers two_streams("work of two streams runs in any order", {0, 1}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  return s.read(s.p, s.b);
});

const Answers event_orders("a stream waits for an event of another", {1}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  return s.read(s.p, s.b);
});

const Answers event_covers("an event covers the work before it, and none after it", {1, 2}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  s.set(s.p, 2, s.a);
  s.wait(s.b, s.event);
  return s.read(s.p, s.b);
});

const Answers recorded_again("a wait is for the last record before it, not for a later one", {1, 2}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  s.set(s.p, 2, s.a);
  s.record(s.event, s.a);
  return s.read(s.p, s.b);
});

const Answers not_recorded("an event that nobody recorded holds nothing up", {0, 1}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.wait(s.b, s.event);
  return s.read(s.p, s.b);
});

const Answers through_three("order passes through a stream in between", {1}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  s.wait(s.blocking, s.event);
  s.record(s.other, s.blocking);
  s.wait(s.b, s.other);
  return s.read(s.p, s.b);
});

const Answers write_after_read("a write waits for a reader by the reader's event", {1}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.copy(s.q, s.p, s.a);
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  s.set(s.p, 2, s.b);
  s.record(s.other, s.b);
  ok(cuEventSynchronize(s.other), "cuEventSynchronize");
  return s.read(s.q, s.a);
});

const Answers legacy_waits("the legacy default stream waits for blocking streams", {1}, [](Streams& s) {
  s.set(s.p, 1, s.blocking);
  return s.read(s.p, nullptr);
});

const Answers blocking_waits("blocking streams wait for the legacy default stream", {1}, [](Streams& s) {
  s.set(s.p, 1, nullptr);
  return s.read(s.p, s.blocking);
});

const Answers non_blocking("other streams and the legacy default stream do not wait for each other", {0, 1, 2, 3},
                           [](Streams& s) {
                             s.set(s.p, 1, nullptr);
                             const int before = s.read(s.p, s.a);
                             s.set(s.q, 1, s.a);
                             // A wait for the legacy stream is one for blocking streams, so an event waits for it
                             // alone.
                             unsigned char value = 77;
                             ok(cuMemcpyDtoHAsync_v2(&value, s.q, 1, nullptr), "cuMemcpyDtoHAsync");
                             s.record(s.event, nullptr);
                             ok(cuEventSynchronize(s.event), "cuEventSynchronize");
                             return 2 * before + value;
                           });

const Answers default_streams("handles 1 and 2 are the default streams of the process and of the thread", {1},
                              [](Streams& s) {
                                auto* const legacy = reinterpret_cast<CUstream>(CU_STREAM_LEGACY);
                                auto* const own = reinterpret_cast<CUstream>(CU_STREAM_PER_THREAD);
                                s.set(s.p, 1, own);
                                s.copy(s.q, s.p, legacy);
                                return s.read(s.q, own);
                              });

const Answers of_threads("each thread has a default stream of its own", {0, 1}, [](Streams& s) {
  auto* const own = reinterpret_cast<CUstream>(CU_STREAM_PER_THREAD);
  std::thread([&] {
    cuCtxSetCurrent(s.context);
    s.set(s.p, 1, own);
  }).join();
  return s.read(s.p, own);
});

const Answers event_query("an event is asked about without waiting", {0, 1}, [](Streams& s) {
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  const CUresult answer = cuEventQuery(s.event);
  if (answer == CUDA_SUCCESS) check::that(s.read(s.p, s.b) == 1, "it is past before its work");
  ok(cuEventSynchronize(s.event), "cuEventSynchronize");
  ok(cuEventQuery(s.event), "cuEventQuery");
  check::that(s.read(s.p, s.b) == 1, "it is waited for without its work");
  return answer == CUDA_SUCCESS ? 1 : 0;
});

const Answers from_host("memory of the host is read when a copy runs", {1, 2}, [](Streams& s) {
  void* host = nullptr;
  ok(cuMemHostAlloc(&host, 1, 0), "cuMemHostAlloc");
  auto* volatile byte = static_cast<unsigned char*>(host);
  *byte = 1;
  ok(cuMemcpyHtoDAsync_v2(s.p, host, 1, s.a), "cuMemcpyHtoDAsync");
  *byte = 2;
  return s.read(s.p, s.a);
});

const Answers to_host("memory of the host is written when a copy runs", {1, 77}, [](Streams& s) {
  unsigned char value = 77;
  s.set(s.p, 1, s.a);
  ok(cuMemcpyDtoHAsync_v2(&value, s.p, 1, s.a), "cuMemcpyDtoHAsync");
  const int at_first = *static_cast<volatile unsigned char*>(&value);
  ok(cuStreamSynchronize(s.a), "cuStreamSynchronize");
  check::that(*static_cast<volatile unsigned char*>(&value) == 1, "a synchronised copy");
  return at_first;
});

const Answers host_functions("functions of the host run in the order of their stream", {12}, [](Streams& s) {
  int value = 0;
  ok(cuLaunchHostFunc(
         s.a, [](void* to) { *static_cast<int*>(to) = 1; }, &value),
     "cuLaunchHostFunc");
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  ok(cuLaunchHostFunc(
         s.b, [](void* to) { *static_cast<int*>(to) = 10 * *static_cast<int*>(to) + 2; }, &value),
     "cuLaunchHostFunc");
  ok(cuStreamSynchronize(s.b), "cuStreamSynchronize");
  return value;
});

const Answers destroyed("work goes on when its stream, event and graph are destroyed", {3}, [](Streams& s) {
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  s.set(s.p, 3, s.a);
  CUgraph graph = nullptr;
  ok(cuStreamEndCapture(s.a, &graph), "cuStreamEndCapture");
  CUgraphExec executable = nullptr;
  ok(cuGraphInstantiateWithFlags(&executable, graph, 0), "cuGraphInstantiate");
  ok(cuGraphLaunch(executable, s.a), "cuGraphLaunch");
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  ok(cuGraphDestroy(graph), "cuGraphDestroy");
  ok(cuGraphExecDestroy(executable), "cuGraphExecDestroy");
  ok(cuEventDestroy_v2(s.event), "cuEventDestroy");
  ok(cuStreamDestroy_v2(s.a), "cuStreamDestroy");
  return s.read(s.p, s.b);
});

const Answers freeing("memory of the device is freed once the device is idle", {1}, [](Streams& s) {
  s.copy(s.q, s.p, s.a);
  s.set(s.p, 9, s.b);
  ok(cuMemFree_v2(s.p), "cuMemFree");
  s.set(s.q, 1, s.b);  // the copy is done, so nothing is in its way
  return s.read(s.q, s.b);
});

const Answers errors("work that fails is the error of later calls, and ends later work", {0}, [](Streams& s) {
  CUdeviceptr gone = 0;
  ok(cuMemAlloc_v2(&gone, 1), "cuMemAlloc");
  s.set(s.p, 5, s.a);
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  s.set(gone, 3, s.a);
  CUgraph graph = nullptr;
  ok(cuStreamEndCapture(s.a, &graph), "cuStreamEndCapture");
  CUgraphExec executable = nullptr;
  ok(cuGraphInstantiateWithFlags(&executable, graph, 0), "cuGraphInstantiate");
  ok(cuMemFree_v2(gone), "cuMemFree");
  ok(cuGraphLaunch(executable, s.a), "a launch returns before it fails");
  unsigned char value = 0;
  (void)cuMemcpyDtoHAsync_v2(&value, s.p, 1, s.a);
  expect(cuStreamSynchronize(s.a), CUDA_ERROR_ILLEGAL_ADDRESS, "a write to freed memory");
  ok(cuDevicePrimaryCtxRelease_v2(0), "cuDevicePrimaryCtxRelease");
  ok(cuDevicePrimaryCtxRetain(&s.context, 0), "cuDevicePrimaryCtxRetain");
  ok(cuCtxSetCurrent(s.context), "cuCtxSetCurrent");
  return int{value};
});

const check::Register at_once("without EMULATOR_STREAMS work runs at once, after all that waited", [] {
  const Gpu gpu;
  Streams s(gpu);
  unsigned char value = 77;
  {
    const Variable order("EMULATOR_STREAMS", "late");
    s.set(s.p, 1, s.a);
    ok(cuMemcpyDtoHAsync_v2(&value, s.p, 1, s.a), "cuMemcpyDtoHAsync");
    check::that(value == 77, "it did not wait");
  }
  s.set(s.q, 1, s.b);
  check::that(*static_cast<volatile unsigned char*>(&value) == 1, "the work before");
});

/// q after a replay of a graph in which `b` copies p, 1, to q and `a` sets p to 2. `body` may order the two.
int replayed(Streams& s, void (*body)(Streams&)) {
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  s.copy(s.q, s.p, s.b);
  s.record(s.other, s.b);
  body(s);
  s.set(s.p, 2, s.a);
  s.wait(s.a, s.other);
  s.set(s.p, 3, s.a);
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  ok(cuStreamEndCapture(s.a, &graph), "cuStreamEndCapture");
  ok(cuGraphInstantiateWithFlags(&executable, graph, 0), "cuGraphInstantiate");
  ok(cuGraphLaunch(executable, s.a), "cuGraphLaunch");
  const int q = s.read(s.q, s.a);
  ok(cuGraphExecDestroy(executable), "cuGraphExecDestroy");
  ok(cuGraphDestroy(graph), "cuGraphDestroy");
  return q;
}

const Answers branches("branches of a captured graph run in any order", {1, 2},
                       [](Streams& s) { return replayed(s, [](Streams&) {}); });

const Answers ordered_branches("a branch of a captured graph waits for an event of another", {1},
                               [](Streams& s) { return replayed(s, [](Streams& of) { of.wait(of.a, of.other); }); });

const check::Register unjoined("a capture whose branch nobody waits for fails, and its streams go on", [] {
  const Gpu gpu;
  Streams s(gpu);
  CUgraph graph = nullptr;
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  s.set(s.p, 1, s.b);
  expect(cuStreamEndCapture(s.b, &graph), 903, "the end of the branch's stream");
  expect(cuStreamEndCapture(s.a, &graph), 904, "cuStreamEndCapture");
  expect(cuStreamWaitEvent(s.b, s.event, 0), 907, "a wait for an event of a capture that ended");
  s.set(s.p, 2, s.b);
  check::that(s.read(s.p, s.b) == 2, "the branch's stream does not go on");
});

const check::Register isolated("a capture that waits for an event of outside ends", [] {
  const Gpu gpu;
  Streams s(gpu);
  s.record(s.event, s.b);
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  expect(cuStreamWaitEvent(s.a, s.event, 0), 905, "the wait");
  CUgraph graph = nullptr;
  expect(cuStreamEndCapture(s.a, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "cuStreamEndCapture");
  ok(cuStreamSynchronize(s.a), "the stream afterwards");
});

const check::Register earlier("a capture knows no event of the one before it", [] {
  const Gpu gpu;
  Streams s(gpu);
  CUgraph graph = nullptr;
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  s.set(s.p, 1, s.a);
  s.record(s.event, s.a);
  ok(cuStreamEndCapture(s.a, &graph), "cuStreamEndCapture");
  ok(cuGraphDestroy(graph), "cuGraphDestroy");
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  expect(cuStreamWaitEvent(s.a, s.event, 0), 907, "the wait of the capturing stream");
  expect(cuStreamWaitEvent(s.b, s.event, 0), 907, "the wait of another");
  ok(cuStreamEndCapture(s.a, &graph), "cuStreamEndCapture");
  ok(cuGraphDestroy(graph), "cuGraphDestroy");
});

const check::Register invalidated("an error in one stream ends the capture in its branches", [] {
  const Gpu gpu;
  Streams s(gpu);
  ok(cuStreamBeginCapture_v2(s.a, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "cuStreamBeginCapture");
  s.record(s.event, s.a);
  s.wait(s.b, s.event);
  expect(cuStreamSynchronize(s.a), 900, "a forbidden call");
  expect(cuMemcpyDtoDAsync_v2(s.p, s.q, 1, s.b), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "work of the branch");
  expect(cuEventRecord(s.other, s.b), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "a record in the branch");
  CUgraph graph = nullptr;
  expect(cuStreamEndCapture(s.a, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "cuStreamEndCapture");
  s.set(s.p, 1, s.b);
});

}  // namespace
