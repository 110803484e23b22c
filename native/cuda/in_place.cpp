#include "cuda/in_place.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>

#include "cuda/copy.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "cuda/module.h"
#include "kernels/resize_flow.h"

namespace flow::cuda {

namespace {

/// Milliseconds of a kernel that reads each value of page-locked memory four times, as preprocessing does: `in_place`,
/// or a copy of it, the copying included.
struct Times {
  float in_place, copied;
};

Times measure(const ContextPtr& context) {
  constexpr int side = 512, rounds = 5;
  constexpr std::size_t bytes = sizeof(float) * 2 * side * side;
  const Context::Scope scope(*context);
  const Stream stream(context);
  Modules modules(context);
  const Kernel& kernel = modules.kernel("resize_flow", 0);
  const PinnedMemory host(context, bytes);
  std::fill_n(static_cast<float*>(host.data()), bytes / sizeof(float), 0.F);
  const DeviceMemory in(bytes, stream), out(bytes, stream);
  const Event start(context, Event::Timing::on), end(context, Event::Timing::on);
  const auto resize = [&](const void* from) {
    const kernels::ResizeFlowParams params{
        static_cast<const float*>(from), static_cast<float*>(out.data()), side, side, side, side, side, side};
    launch(stream, kernel, {side / 32, side / 8, 2}, {32, 8}, 0, params);
  };
  const auto keep_least = [&](float& least, const auto& work) {
    start.record(stream);
    work();
    end.record(stream);
    end.synchronize();
    least = std::min(least, end.milliseconds_since(start));
  };
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are integers
  const void* const address = reinterpret_cast<const void*>(host.device_pointer());
  constexpr float never = std::numeric_limits<float>::infinity();
  Times times{never, never};
  for (int round = 0; round < rounds; round++) {  // in turns, so that other work on the machine disturbs both
    keep_least(times.in_place, [&] { resize(address); });
    keep_least(times.copied, [&] {
      copy_to_device(host.data(), bytes, in.data(), stream);
      resize(in.data());
    });
  }
  return times;
}

}  // namespace

bool computes_in_place(const ContextPtr& context) {
  const DeviceInfo& device = context->device();
  if (!device.integrated) return false;
  static std::mutex mutex;
  static std::map<int, bool> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(device.index);
  if (found != known.end()) return found->second;
  // In place saves memory, and the copies of results. So it is given up only if it is clearly slower.
  constexpr float slower = 2;
  const Times times = measure(context);
  return known[device.index] = times.in_place <= slower * times.copied;
}

}  // namespace flow::cuda
