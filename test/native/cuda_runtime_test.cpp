// The promises of the layer over the driver, also when calls fail. The tests run on a GPU or on the emulated driver.
// Without either, only the tests of a missing driver run; the others are skipped. A driver that the environment names
// must show a GPU.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "check.h"
#include "cuda/copy.h"
#include "cuda/cuda_engine.h"
#include "cuda/cuda_ops.h"
#include "cuda/host_block.h"
#include "cuda/in_place.h"
#include "cuda/launch.h"
#include "cuda/marked_stream.h"
#include "cuda/memory.h"
#include "cuda/module.h"
#include "cuda/staging.h"
#include "cuda/stream.h"
#include "cuda_for_tests.h"
#include "engine/known_memory.h"
#include "in_child.h"
#include "kernels/resize_flow.h"

using namespace flow;
using namespace flow::cuda;

namespace {

/// The error of a child process that asks for the driver `library`. This process must not have asked for a driver yet,
/// because the answer is remembered.
std::string failure_with(const char* library) {
  return in_child([library] {
    setenv("DINOV3_FLOW_CUDA_DRIVER", library, 1);
    std::string text = "there is a driver";
    for (int i = 0; i < 2; i++) {  // the second answer is remembered
      try {
        driver();
      } catch (const Error& error) {
        text = error.code() == ErrorCode::device ? error.what() : "another code";
      }
    }
    return text;
  });
}

void expect_text(const std::string& text, std::string_view part) {
  check::that(text.find(part) != std::string::npos, "\"", text, "\" does not say \"", part, "\"");
}

template <class Call>
void expect_error(ErrorCode code, std::string_view part, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    check::that(error.code() == code, "another code: ", error.what());
    expect_text(error.what(), part);
    return;
  }
  check::fail("no error");
}

/// A context that is current, and a stream in it.
struct Gpu {
  ContextPtr context = Context::of(0);
  Context::Scope scope{*context};
  Stream stream{context};
};

std::vector<unsigned char> content(const Memory& memory, std::size_t bytes, const Stream& stream) {
  std::vector<unsigned char> host(bytes, 77);
  copy_to_host(memory.data(), bytes, host.data(), stream);
  stream.synchronize();
  return host;
}

void fill(const Memory& memory, unsigned char value, std::size_t bytes, const Stream& stream) {
  cuda::check(driver().cuMemsetD8Async(address(memory.data()), value, bytes, stream.get()), "cuMemsetD8Async");
}

bool all_are(const std::vector<unsigned char>& bytes, unsigned char value) {
  return std::ranges::all_of(bytes, [&](unsigned char b) { return b == value; });
}

/// A test that needs a GPU or the emulated driver.
struct OnGpu : check::Register {
  OnGpu(const char* name, void (*body)(Gpu&))
      : Register(name, [body] {
          need_cuda();
          Gpu gpu;
          body(gpu);
        }) {}
};

// These tests come first: failure_with needs a process that has not asked for a driver.
const check::Register no_driver("a driver that is missing is an error that names it and the variable", [] {
  const std::string text = failure_with("/nowhere/libcuda.so");
  expect_text(text, "/nowhere/libcuda.so");
  expect_text(text, "DINOV3_FLOW_CUDA_DRIVER");
});

const check::Register no_functions("a driver that lacks functions is an error that names them and says what to do", [] {
  const std::string text = failure_with("libm.so.6");
  expect_text(text, "cuInit, ");
  expect_text(text, "cuGraphInstantiateWithFlags");
  expect_text(text, "update it");
});

#ifdef FLOW_EMULATOR
/// Gives a variable of the environment another value during its own lifetime.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = getenv(name)) before_ = before;
    setenv(name, value, 1);
  }
  ~Variable() { before_ ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

const check::Register no_gpus("a driver without a GPU says where to look", [] {
  const Variable none("EMULATOR_DEVICES", "0");
  const std::string text = failure_with(FLOW_EMULATOR);
  expect_text(text, "CUDA_ERROR_NO_DEVICE");
  expect_text(text, "CUDA_VISIBLE_DEVICES");
});

const check::Register old_driver("a driver that is too old says so", [] {
  const Variable old("EMULATOR_DRIVER_VERSION", "11020"), one("EMULATOR_DEVICES", "1");
  const std::string text = failure_with(FLOW_EMULATOR);
  expect_text(text, "older than CUDA 11.4");
});

const check::Register in_place("an integrated GPU computes in the host's memory unless that is slow", [] {
  const auto answer = [](const char* is_integrated, const char* is_slow) {
    const Variable integrated("EMULATOR_INTEGRATED", is_integrated), slow("EMULATOR_SLOW_HOST", is_slow);
    const Variable one("EMULATOR_DEVICES", "1");
    return in_child([] {
      setenv("DINOV3_FLOW_CUDA_DRIVER", FLOW_EMULATOR, 1);
      return std::string(computes_in_place(Context::of(0)) ? "in place" : "copied");
    });
  };
  check::that(answer("0", "0") == "copied", "a GPU with memory of its own");
  check::that(answer("1", "0") == "in place", "one memory");
  check::that(answer("1", "1") == "copied", "one memory, slow");
});

const check::Register programmatic("kernels may begin before others are done from 9.0 and CUDA 12.3 on", [] {
  const auto answer = [](const char* on, const char* under) {
    const Variable capability("EMULATOR_CAPABILITY", on), driver_version("EMULATOR_DRIVER_VERSION", under);
    const Variable one("EMULATOR_DEVICES", "1");
    return in_child([] {
      setenv("DINOV3_FLOW_CUDA_DRIVER", FLOW_EMULATOR, 1);
      const ContextPtr context = Context::of(0);
      const Context::Scope scope(*context);
      Modules modules(context);
      return std::string(modules.kernel("resize_flow", 0).programmatic ? "programmatic" : "ordinary");
    });
  };
  check::that(answer("9.0", "12030") == "programmatic", "9.0");
  check::that(answer("9.0", "12020") == "ordinary", "a driver that cannot record it");
  check::that(answer("8.9", "13000") == "ordinary", "8.9");
});
#endif

const check::Register has_gpu("the driver that the environment names shows a GPU", [] {
  (void)cuda_is_here();  // names the emulated driver if there is one
  const char* const name = getenv("DINOV3_FLOW_CUDA_DRIVER");
  if (name == nullptr) check::skip("the environment names no driver");
  check::that(!devices().empty(), "the driver ", name, " shows no GPU: nothing was tested on one");
});

const OnGpu described("devices are described without a context", [](Gpu& gpu) {
  const auto all = devices();
  check::that(!all.empty() && all[0].name == gpu.context->device().name, "the first device");
  check::that(all[0].multiprocessors > 0 && all[0].memory > 0 && all[0].capability_major >= 5, "its properties");
  check::that(all[0].shared_per_block >= std::size_t{48} << 10, "shared memory ", all[0].shared_per_block);
  expect_error(ErrorCode::device, "no GPU 99", [] { Context::of(99); });
  expect_error(ErrorCode::device, "no GPU -1", [] { Context::of(-1); });
});

const check::Register one_context("a process has one context per device, current in its scope", [] {
  need_cuda();
  const auto current = [] {
    CUcontext context = nullptr;
    cuda::check(driver().cuCtxGetCurrent(&context), "cuCtxGetCurrent");
    return context;
  };
  check::that(current() == nullptr, "a context is current before");
  std::weak_ptr<const Context> seen;
  {
    const ContextPtr a = Context::of(0);
    ContextPtr b;
    std::thread([&] { b = Context::of(0); }).join();
    check::that(a == b, "two objects for one device");
    seen = a;
    const Context::Scope scope(*a);
    const CUcontext mine = current();
    check::that(mine != nullptr, "no context is current");
    {
      const Context::Scope inner(*a);
      check::that(current() == mine, "another is current within");
    }
    check::that(current() == mine, "the inner scope took it away");
  }
  check::that(current() == nullptr, "it is still current");
  check::that(seen.expired(), "it is still held");
  check::that(Context::of(0) != nullptr, "it does not come back");
});

const OnGpu zeroed("memory of the device is zeroed, used memory too", [](Gpu& gpu) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{1000003}}) {
    for (int round = 0; round < 2; round++) {
      const DeviceMemory memory(bytes, gpu.stream);
      check::that(all_are(content(memory, bytes, gpu.stream), 0), bytes, " bytes");
      fill(memory, 255, bytes, gpu.stream);
      check::that(all_are(content(memory, bytes, gpu.stream), 255), "they cannot be written");
    }
  }
  const DeviceMemory empty(0, gpu.stream);
  check::that(empty.data() != nullptr, "no bytes have no address");
});

const OnGpu freed_elsewhere("memory is freed on a thread without a context", [](Gpu& gpu) {
  auto memory = std::make_unique<DeviceMemory>(4096, gpu.stream);
  auto pinned = std::make_unique<PinnedMemory>(gpu.context, 4096);
  std::thread([&] {
    memory.reset();
    pinned.reset();
  }).join();
});

const OnGpu pinned("pinned memory is seen by both sides", [](Gpu& gpu) {
  const PinnedMemory host(gpu.context, 1000);
  check::that(host.size() == 1000, "size");
  std::memset(host.data(), 5, host.size());
  const DeviceMemory memory(host.size(), gpu.stream);
  copy_to_device(host.data(), host.size(), memory.data(), gpu.stream);
  check::that(all_are(content(memory, host.size(), gpu.stream), 5), "a copy");
});

const OnGpu pinned_shared("an integrated GPU writes pinned memory in place", [](Gpu& gpu) {
  if (!gpu.context->device().integrated) check::skip("this GPU has memory of its own");
  const PinnedMemory host(gpu.context, 1000);
  cuda::check(driver().cuMemsetD8Async(host.device_pointer(), 6, host.size(), gpu.stream.get()), "cuMemsetD8Async");
  gpu.stream.synchronize();
  check::that(static_cast<unsigned char*>(host.data())[999] == 6, "the device's bytes");
});

const OnGpu block("a block of the host is zeroed, and known by its addresses until it is freed", [](Gpu& gpu) {
  const auto known = [](const std::byte* first, std::size_t bytes) { return HostBlock::holding({first, bytes}); };
  HostBlockPtr a = HostBlock::allocate(gpu.context, 1000), b = HostBlock::allocate(gpu.context, 500);
  for (const HostBlockPtr& one : {a, b}) {
    const std::span<std::byte> bytes = one->bytes();
    check::that(std::ranges::all_of(bytes, [](std::byte v) { return v == std::byte{0}; }), "it is not zeroed");
    const std::byte* const first = bytes.data();
    check::that(known(first, bytes.size()) == one && known(first + 3, 1) == one, "a part of it is not known");
    check::that(known(first + bytes.size() - 1, 1) == one, "its last byte is not known");
    check::that(!known(first + 1, bytes.size()) && !known(first - 1, 2), "more than it is known");
  }
  const std::vector<std::byte> other(100);
  check::that(!known(other.data(), other.size()), "other memory is known");
  const std::byte* const first = a->bytes().data();
  std::thread([&] { a.reset(); }).join();  // without a context
  check::that(!known(first, 1), "it is known after its end");
  check::that(known(b->bytes().data(), 500) == b, "the end of another made it unknown");
});

const check::Register block_outlives("a block keeps its context, and lets go of it", [] {
  need_cuda();
  HostBlockPtr block = HostBlock::allocate(Context::of(0), 10);
  std::weak_ptr<const Context> context = Context::of(0);
  check::that(!context.expired() && block->bytes()[9] == std::byte{0}, "the context is gone");
  std::thread([&] { block.reset(); }).join();
  check::that(context.expired(), "the context is still held");
});

const OnGpu device_block("memory of the device is zeroed, known by its addresses, and outlives its engine",
                         [](Gpu& gpu) {
                           MemoryPtr memory = CudaEngine(0, Precision::fp32).allocate_device(1000);
                           const std::byte* const first = memory->bytes().data();
                           check::that(memory->device() == 0 && memory->size() == 1000, "it is described otherwise");
                           check::that(holding({first + 900, 100}) == memory, "a part of it is not known");
                           check::that(!holding({first + 900, 101}), "more than it is known");
                           check::that(!HostBlock::holding({first, 1}), "it is taken for the host's");
                           std::vector<unsigned char> content(1000, 1);
                           copy_to_host(memory->data(), content.size(), content.data(), gpu.stream);
                           gpu.stream.synchronize();
                           check::that(all_are(content, 0), "it is not zeroed");
                           std::thread([&] { memory.reset(); }).join();  // without a context
                           check::that(!holding({first, 1}), "it is known after its end");
                         });

const OnGpu foreign(
    "memory of others is known while somebody needs it, and refused unless kernels reach it", [](Gpu& gpu) {
      const CudaEngine engine(0, Precision::fp32);
      const auto refused = [&](const void* first, std::size_t bytes, const char* reason) {
        try {
          engine.adopt({static_cast<const std::byte*>(first), bytes});
        } catch (const Error& error) {
          return error.code() == ErrorCode::argument && std::string(error.what()).find(reason) != std::string::npos;
        }
        return false;
      };
      CUdeviceptr address = 0;
      cuda::check(driver().cuMemAlloc(&address, 1000), "cuMemAlloc");
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are integers
      const auto* const first = reinterpret_cast<const std::byte*>(address);
      MemoryPtr memory = engine.adopt({first + 100, 500});
      check::that(memory->data() == first && memory->size() == 1000 && memory->device() == 0, "another block");
      check::that(memory->is_there() && holding({first, 1000}) == memory, "it is not known");
      check::that(engine.adopt({first, 1}) == memory, "it is known by two objects");
      check::that(refused(first + 100, 901, "900 bytes"), "more than the allocation is taken");
      cuda::check(driver().cuMemFree(address), "cuMemFree");
      check::that(!memory->is_there(), "freed memory is there");
      memory.reset();
      check::that(!holding({first, 1}), "it is known after its end");
      check::that(refused(first, 1, "freed"), "freed memory is taken");
      const std::vector<std::byte> ordinary(100);
      check::that(refused(ordinary.data(), 100, "never allocated"), "ordinary memory is taken");
      const PinnedMemory pinned(gpu.context, 100);
      if (gpu.context->device().integrated) {
        check::that(engine.adopt({static_cast<const std::byte*>(pinned.data()), 100})->device() == 0, "shared memory");
      } else {
        check::that(refused(pinned.data(), 100, "the host's"), "the host's memory is taken");
      }
    });

const OnGpu others("a stream of another module is marked, by events that are used again", [](Gpu& gpu) {
  const CudaEngine engine(0, Precision::fp32);
  CudaOps ops(gpu.context, Precision::fp32);
  const auto handle = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(gpu.stream.get()));
  const auto event_of = [](const OtherStreamPtr& stream) {
    return dynamic_cast<const MarkedStream&>(*stream).marked().get();
  };
  CUevent first = nullptr;
  for (const std::uint64_t stream : {handle, std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}}) {
    const OtherStreamPtr one = engine.mark(stream);
    if (first == nullptr) first = event_of(one);
    check::that(event_of(one) == first, "another event, although the first is not in use");
    check::that(event_of(engine.mark(stream)) != first, "an event in use");
    ops.wait_for(*one);
    ops.let_wait(*one);
  }
  const OtherStreamPtr again = engine.mark(handle);
  check::that(event_of(again) == first || event_of(engine.mark(handle)) == first, "a third event");
});

const OnGpu captured("a stream that is being captured is refused, and its capture goes on", [](Gpu& gpu) {
  const CudaEngine engine(0, Precision::fp32);
  const DeviceMemory memory(64, gpu.stream);
  const auto handle = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(gpu.stream.get()));
  const GraphExec graph = gpu.stream.capture([&] {
    expect_error(ErrorCode::argument, "captured", [&] { engine.mark(handle); });
    fill(memory, 5, 64, gpu.stream);
  });
  graph.launch(gpu.stream);
  check::that(all_are(content(memory, 64, gpu.stream), 5), "its graph");
  engine.mark(handle);
});

const OnGpu failed("a call that fails has stopped using its memory", [](Gpu& gpu) {
  CudaOps ops(gpu.context, Precision::fp32);
  constexpr int side = 64;
  constexpr std::size_t bytes = sizeof(float) * 2 * side * side;
  const DeviceMemory from(bytes, gpu.stream), to(bytes, gpu.stream);
  fill(from, 1, bytes, gpu.stream);
  gpu.stream.synchronize();
  const auto map = [](const DeviceMemory& memory) { return RealMatrix{memory.data(), 2 * side, side, side}; };
  expect_error(ErrorCode::out_of_memory, "", [&] {
    ops.sequence(nullptr, {}, [&] {
      ops.resize_flow(map(from), map(to));
      ops.allocate(std::size_t{1} << 45);
    });
  });
  check::that(all_are(content(to, bytes, gpu.stream), 1), "its work still runs");
});

const OnGpu staged("a frame and a result pass through blocks and other memory alike", [](Gpu& gpu) {
  constexpr int width = 30, height = 20;
  constexpr std::size_t bytes = std::size_t{3} * width * height;
  const HostBlockPtr block = HostBlock::allocate(gpu.context, 2 * bytes + 16);
  std::vector<std::byte> plain(2 * bytes + 16);
  const bool one_memory = computes_in_place(gpu.context);
  StagedFrame frame(gpu.stream);
  HostOutput output(gpu.stream);
  for (const std::span<std::byte> host : {block->bytes(), std::span(plain), block->bytes()}) {
    const bool in_block = host.data() == block->bytes().data();
    const std::span<std::byte> from = host.first(bytes), to = host.last(bytes);  // `to` is 8 bytes off
    for (std::size_t i = 0; i < bytes; i++) from[i] = static_cast<std::byte>(i * 7);
    std::ranges::fill(to, std::byte{0});
    const Frame given = frame_of(reinterpret_cast<const std::uint8_t*>(from.data()), width, height);
    const Frame on_device = frame.put(given, height, width);
    check::that(frame.holds(on_device) && frame.across() == nullptr, "the frame");
    if (one_memory && in_block) check::that(on_device.data == given.data, "a block is not read in place");
    copy_on_device(on_device.data, bytes, output.prepare(to), gpu.stream);
    output.download();
    gpu.stream.synchronize();
    output.deliver();
    check::that(std::ranges::equal(from, to), "what arrives");
  }
});

const OnGpu out_of_memory("want of memory says how much, of how much, and passes", [](Gpu& gpu) {
  const std::size_t wanted = std::size_t{1} << 45;
  for (int round = 0; round < 2; round++) {
    expect_error(ErrorCode::out_of_memory, "33554432 MiB could not be allocated on GPU 0",
                 [&] { const DeviceMemory memory(wanted, gpu.stream); });
    expect_error(ErrorCode::out_of_memory, "are free; use a smaller `size`",
                 [&] { const DeviceMemory memory(wanted, gpu.stream); });
    const DeviceMemory memory(4096, gpu.stream);
    check::that(all_are(content(memory, 4096, gpu.stream), 0), "an allocation after it");
  }
});

const OnGpu replay("a capture runs nothing, and its replay does, as often as asked", [](Gpu& gpu) {
  constexpr std::size_t bytes = 1024;
  const DeviceMemory a(bytes, gpu.stream), b(bytes, gpu.stream);
  const GraphExec graph = gpu.stream.capture([&] {
    fill(a, 9, bytes, gpu.stream);
    copy_on_device(a.data(), bytes, b.data(), gpu.stream);
  });
  check::that(static_cast<bool>(graph), "no graph");
  check::that(all_are(content(b, bytes, gpu.stream), 0), "it ran when it was captured");
  for (int round = 0; round < 3; round++) {
    graph.launch(gpu.stream);
    check::that(all_are(content(b, bytes, gpu.stream), 9), "replay ", round);
    fill(b, 1, bytes, gpu.stream);
  }
});

const OnGpu thrown("an exception ends a capture, and the stream goes on", [](Gpu& gpu) {
  const DeviceMemory memory(64, gpu.stream);
  for (int round = 0; round < 2; round++) {
    bool caught = false;
    try {
      gpu.stream.capture([&] {
        fill(memory, 3, 64, gpu.stream);
        throw std::out_of_range("from within");
      });
    } catch (const std::out_of_range&) {
      caught = true;
    }
    check::that(caught, "it does not come through");
    check::that(all_are(content(memory, 64, gpu.stream), 0), "the stream runs, without what was captured");
  }
  // A call that is not allowed in a capture breaks the capture. The stream is usable afterwards.
  expect_error(ErrorCode::device, "", [&] { gpu.stream.capture([&] { gpu.stream.synchronize(); }); });
  fill(memory, 4, 64, gpu.stream);
  check::that(all_are(content(memory, 64, gpu.stream), 4), "the stream runs");
});

const OnGpu timed("events measure the time between them", [](Gpu& gpu) {
  const Event start(gpu.context, Event::Timing::on), end(gpu.context, Event::Timing::on), plain(gpu.context);
  const DeviceMemory memory(std::size_t{1} << 20, gpu.stream);
  start.record(gpu.stream);
  fill(memory, 1, std::size_t{1} << 20, gpu.stream);
  end.record(gpu.stream);
  end.synchronize();
  check::that(end.milliseconds_since(start) >= 0, "time");
  plain.record(gpu.stream);
  plain.synchronize();
});

const OnGpu timed_sequences("the device's time of a sequence is less than the caller's, replayed or not", [](Gpu&) {
  CudaOps ops(Context::of(0), Precision::fp32);
  constexpr int rows = 2 * 300, cols = 400;
  const auto from = ops.allocate(sizeof(float) * rows * cols), to = ops.allocate(sizeof(float) * 4 * rows * cols);
  const RealMatrix in{from->data(), rows, cols, cols}, out{to->data(), 2 * rows, 2 * cols, 2 * cols};
  const auto caller_ms = [&] {
    const auto begin = std::chrono::steady_clock::now();
    const SequenceKey key{1};
    ops.sequence(&key, {}, [&] { ops.resize_flow(in, out); });
    ops.finish();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  };
  ops.time_sequences();
  for (int round = 0; round < 4; round++) {
    const double caller = caller_ms();
    const float device = ops.sequence_milliseconds();
    check::that(device > 0 && device < caller, "round ", round, ": ", device, " ms of ", caller);
  }
});

const OnGpu no_kernel("a kernel that does not exist is named", [](Gpu& gpu) {
  Modules modules(gpu.context);
  expect_error(ErrorCode::device, "holds no kernel no_such_kernel", [&] { modules.find("no_such_kernel"); });
});

const OnGpu launched("a kernel runs with its parameters, and in a replay with those of the capture", [](Gpu& gpu) {
  Modules modules(gpu.context);
  const Kernel& kernel = modules.kernel("resize_flow", 0);
  check::that(&kernel == &modules.kernel("resize_flow", 0), "it is looked up twice");
  constexpr int in_width = 2, out_width = 6, height = 3;
  constexpr std::size_t in_bytes = sizeof(float) * 2 * in_width * height,
                        out_bytes = sizeof(float) * 2 * out_width * height;
  const DeviceMemory in(in_bytes, gpu.stream), out(out_bytes, gpu.stream);
  const std::vector<float> ones(2 * in_width * height, 1.F);
  copy_to_device(ones.data(), in_bytes, in.data(), gpu.stream);
  const auto check_result = [&] {
    std::vector<float> result(2 * out_width * height);
    copy_to_host(out.data(), out_bytes, result.data(), gpu.stream);
    gpu.stream.synchronize();
    for (int i = 0; i < 2 * out_width * height; i++) {
      const float expected = i < out_width * height ? 3 : 1;
      check::that(std::abs(result[i] - expected) < 1e-6, "value ", i, " is ", result[i]);
    }
  };
  kernels::ResizeFlowParams params{static_cast<const float*>(in.data()),
                                   static_cast<float*>(out.data()),
                                   height,
                                   in_width,
                                   height,
                                   out_width,
                                   in_width,
                                   out_width};
  launch(gpu.stream, kernel, {1, 1, 2}, {32, 8}, 0, params);
  check_result();
  fill(out, 0, out_bytes, gpu.stream);
  const GraphExec graph = gpu.stream.capture([&] { launch(gpu.stream, kernel, {1, 1, 2}, {32, 8}, 0, params); });
  params = {};
  graph.launch(gpu.stream);
  check_result();
});

const OnGpu much_shared("more shared memory than a block may have is an error before the launch", [](Gpu& gpu) {
  Modules modules(gpu.context);
  const auto most = static_cast<int>(gpu.context->device().shared_per_block);
  check::that(modules.kernel("resize_flow", most).shared_bytes == most, "all of it");
  check::that(modules.kernel("resize_flow", 0).shared_bytes == most, "it shrinks");
  expect_error(ErrorCode::device, "resize_flow needs", [&] { modules.kernel("resize_flow", most + 1); });
});

#ifdef FLOW_EMULATOR
/// Makes calls of the emulated driver fail during its own lifetime. `which` has the format of EMULATOR_FAIL: see
/// test/emulator/driver/faults.h.
struct Fault : Variable {
  explicit Fault(const char* which) : Variable("EMULATOR_FAIL", which) {}
};

/// A test of a failure that only the emulated driver can cause.
struct OnEmulator : check::Register {
  OnEmulator(const char* name, void (*body)(Gpu&))
      : Register(name, [body] {
          need_cuda();
          if (std::string_view(getenv("DINOV3_FLOW_CUDA_DRIVER")) != FLOW_EMULATOR)
            check::skip("only the emulated driver can be made to fail");
          Gpu gpu;
          body(gpu);
        }) {}
};

const OnEmulator load_errors("a failure to load the kernels is explained", [](Gpu& gpu) {
  struct Case {
    const char* fault;
    const char* says;
  };
  for (const Case c : {Case{"cuModuleLoadData:1+:209", "compute capability 9.0"},
                       {"cuModuleLoadData:1+:222", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
                       {"cuModuleLoadData:1+:200", "update the driver, or build the addon on this machine"}}) {
    const Fault fault(c.fault);
    expect_error(ErrorCode::device, c.says, [&] { Modules modules(gpu.context); });
  }
  const Fault fault("cuModuleLoadData:1:2");
  expect_error(ErrorCode::out_of_memory, "cuModuleLoadData", [&] { Modules modules(gpu.context); });
});

/// An engine whose kernels are compiled for 7.5, on a GPU of 9.0 whose driver refuses those for 9.0 and 8.0.
std::unique_ptr<CudaOps> ops_of_old_kernels(const ContextPtr& context) {
  const Fault fault("cuModuleLoadData:1:209,cuModuleLoadData:2:209");
  return std::make_unique<CudaOps>(context, Precision::fp16, true);
}

const OnEmulator old_tiles("a product whose fastest tile the kernels lack takes another one", [](Gpu&) {
  const Variable one("EMULATOR_SMS", "1");
  const auto context = std::make_shared<const Context>(devices().front());
  constexpr int rows = 6, dim = 256, hidden = 96;
  const auto tile = choose_gemm_tile("swiglu", 80, rows, 2 * hidden, dim, 2, context->device());
  check::that(kernels::is_wide(tile), "the fastest tile is not wide, so this tests nothing");
  const auto ops = ops_of_old_kernels(context);
  std::vector<std::unique_ptr<Memory>> memory;
  const auto matrix = [&]<class Kind>(int cols, Matrix<Kind>) {
    const int stride = ops->stride(cols);
    memory.push_back(ops->allocate(sizeof(float) * rows * stride));
    return Matrix<Kind>{memory.back()->data(), rows, cols, stride};
  };
  const Residual x{matrix(dim, RealMatrix{}), matrix(dim, OperandMatrix{}),
                   matrix(ops->moment_columns(dim), RealMatrix{})};
  const std::vector<float> ones(dim, 1.F), zeros(dim), weight(std::size_t{dim} * hidden);
  const auto swiglu = ops->pack_swiglu({ones, zeros, 1e-5F}, {dim, hidden, weight}, {dim, hidden, weight});
  ops->sequence(nullptr, {}, [&] { ops->norm_swiglu(x, *swiglu, matrix(hidden, OperandMatrix{})); });
  check::that(ops->in_range(), "zeros are out of range");
});

const OnEmulator old_precision("kernels for 7.5 have no bfloat16, whatever the GPU", [](Gpu& gpu) {
  const auto ops = ops_of_old_kernels(gpu.context);
  check::that(!ops->widen() && std::string_view(ops->precision()) == "fp16", "it widens to ", ops->precision());
  check::that(std::string_view(ops->wider_precision()) == "fp32", "it advises ", ops->wider_precision());
  const Fault fault("cuModuleLoadData:2:209,cuModuleLoadData:1:209");  // another text, so that it counts anew
  expect_error(ErrorCode::device, "Emulated GPU has 9.0, and this build's kernels for it are compute_75",
               [] { CudaEngine(0, Precision::bf16); });
});

const OnEmulator withdrawn("a request that fails or is given up has stopped reading its frame", [](Gpu& gpu) {
  constexpr int width = 30, height = 20;
  constexpr std::size_t bytes = std::size_t{3} * width * height;
  const HostBlockPtr block = HostBlock::allocate(gpu.context, bytes);
  const auto* const pixels = reinterpret_cast<const std::uint8_t*>(block->data());
  const auto fails = [](CudaOps& ops) {
    expect_error(ErrorCode::out_of_memory, "",
                 [&] { ops.sequence(nullptr, {}, [&] { ops.allocate(std::size_t{1} << 45); }); });
  };
  const auto is_given_up = [](CudaOps& ops) { ops.abandon(); };
  for (const std::function<void(CudaOps&)>& end : {std::function<void(CudaOps&)>(fails), {is_given_up}}) {
    CudaOps ops(gpu.context, Precision::fp32);
    const Variable late("EMULATOR_STREAMS", "late");
    std::ranges::fill(block->bytes(), std::byte{1});
    const Frame staged = ops.stage(frame_of(pixels, width, height), 0, height, width);
    const auto on_device = [&] {
      std::vector<unsigned char> values(bytes);
      copy_to_host(staged.data, bytes, values.data(), gpu.stream);
      gpu.stream.synchronize();
      return values;
    };
    check::that(!all_are(on_device(), 1), "the copy does not wait, so this tests nothing");
    end(ops);
    std::ranges::fill(block->bytes(), std::byte{2});
    check::that(all_are(on_device(), 1), "the frame is read afterwards");
  }
});

/// An engine with a sequence whose result goes to `host`.
struct Resize {
  static constexpr int rows = 2 * 4, cols = 6;

  CudaOps ops;
  std::unique_ptr<Memory> from;
  std::vector<float> host = std::vector<float>(std::size_t{4} * rows * cols), expected;

  explicit Resize(const Gpu& gpu) : ops(gpu.context, Precision::fp32) {
    std::vector<float> values(std::size_t{rows} * cols);
    std::iota(values.begin(), values.end(), 1.F);
    from = ops.allocate(sizeof(float) * values.size());
    ops.write(values, in());
    run();
    ops.finish();
    expected = std::exchange(host, std::vector<float>(host.size()));
  }
  RealMatrix in() const { return {from->data(), rows, cols, cols}; }
  void run() {
    const RealMatrix out = ops.output(host, 0, 2 * rows, 2 * cols);
    ops.sequence(nullptr, {}, [&] { ops.resize_flow(in(), out); });
  }
};

const OnEmulator on_their_way("results that are on their way arrive although a later request fails", [](Gpu& gpu) {
  Resize resize(gpu);
  const Variable late("EMULATOR_STREAMS", "late");
  resize.run();
  resize.ops.send_apart();
  resize.ops.finish();
  check::that(resize.ops.is_sending() && resize.host != resize.expected, "nothing is on its way");
  {
    const Fault fault("cuLaunchKernelEx:1:1,cuLaunchKernel:1:1");
    expect_error(ErrorCode::device, "cannot be used any more", [&] { resize.run(); });
  }
  resize.ops.deliver();
  check::that(resize.host == resize.expected, "they are lost");
});

const OnEmulator lost("results that are lost on their way end the engine, whatever the error is", [](Gpu& gpu) {
  for (const char* const fault : {"cuEventSynchronize:1", "cuEventSynchronize:1:2"}) {
    Resize resize(gpu);
    const Variable late("EMULATOR_STREAMS", "late");
    resize.run();
    resize.ops.send_apart();
    resize.ops.finish();
    resize.run();
    {
      const Fault injected(fault);
      expect_error(ErrorCode::device, "", [&] { resize.ops.deliver(); });
    }
    expect_error(ErrorCode::device, "", [&] { resize.ops.finish(); });
  }
});

const OnEmulator no_room("without memory to send results apart, they go to the host as ever", [](Gpu& gpu) {
  Resize resize(gpu);
  resize.run();
  {
    const Fault fault("cuMemHostAlloc:1:2,cuMemAlloc:1:2");
    resize.ops.send_apart();
  }
  resize.ops.finish();
  check::that(!resize.ops.is_sending() && resize.host == resize.expected, "they are not there");
});

const OnEmulator given_up("work that is given up is waited for as the engine waits", [](Gpu& gpu) {
  std::string folder = (std::filesystem::temp_directory_path() / "flow-waits-XXXXXX").string();
  check::that(mkdtemp(folder.data()) != nullptr, "no folder");
  const std::string path = folder + "/trace";
  for (const Wait wait : {Wait::spin, Wait::block}) {
    CudaOps ops(gpu.context, Precision::fp32, false, wait);
    std::filesystem::remove(path);
    {
      const Variable trace("EMULATOR_TRACE", path.c_str());
      ops.abandon();
    }
    std::ifstream file(path);
    int waits = 0;
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("wait-")) continue;
      waits++;
      check::that(line.starts_with(std::string("wait-") + name_of(wait) + " "), line);
    }
    check::that(waits > 0, "it does not wait");
  }
  std::filesystem::remove_all(folder);
});

const OnEmulator failures("a constructor that fails leaves nothing behind", [](Gpu& gpu) {
  const auto free_bytes = [] {
    std::size_t free = 0, total = 0;
    cuda::check(driver().cuMemGetInfo(&free, &total), "cuMemGetInfo");
    return free;
  };
  const std::size_t before = free_bytes();
  {
    const Fault fault("cuMemsetD8Async:1");
    expect_error(ErrorCode::device, "cuMemsetD8Async", [&] { const DeviceMemory memory(4096, gpu.stream); });
  }
  check::that(free_bytes() == before, "memory that could not be zeroed");
  {
    const Fault fault("cuMemHostAlloc:1");
    expect_error(ErrorCode::out_of_memory, "page-locked", [&] { const PinnedMemory memory(gpu.context, 4096); });
  }
  {
    const Fault fault("cuGraphInstantiate:1:2");
    expect_error(ErrorCode::out_of_memory, "cuGraphInstantiate", [&] { gpu.stream.capture([] {}); });
  }
  const DeviceMemory memory(64, gpu.stream);
  const GraphExec graph = gpu.stream.capture([&] { fill(memory, 2, 64, gpu.stream); });
  graph.launch(gpu.stream);
  check::that(all_are(content(memory, 64, gpu.stream), 2), "the stream does not go on");
});
#endif

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
