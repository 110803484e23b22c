#include "cuda/device.h"

#include <array>
#include <map>
#include <mutex>

namespace flow::cuda {

namespace {

CUdevice handle_of(int index) {
  CUdevice device = 0;
  check(driver().cuDeviceGet(&device, index), "cuDeviceGet");
  return device;
}

DeviceInfo describe(int index) {
  const CUdevice device = handle_of(index);
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    check(driver().cuDeviceGetAttribute(&value, which, device), "cuDeviceGetAttribute");
    return value;
  };
  std::array<char, 256> name{};
  check(driver().cuDeviceGetName(name.data(), static_cast<int>(name.size()) - 1, device), "cuDeviceGetName");
  std::size_t memory = 0;
  check(driver().cuDeviceTotalMem(&memory, device), "cuDeviceTotalMem");
  return {
      .name = name.data(),
      .index = index,
      .capability_major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
      .capability_minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
      .multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
      .shared_per_block = static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)),
      .shared_per_multiprocessor =
          static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)),
      .l2 = static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)),
      .memory = memory,
      .integrated = attribute(CU_DEVICE_ATTRIBUTE_INTEGRATED) != 0};
}

int device_count() {
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "cuDeviceGetCount");
  return count;
}

struct Registry {
  std::mutex mutex;
  std::map<int, std::weak_ptr<const Context>> contexts;
};

Registry& registry() {
  static Registry& all = *new Registry;  // never destroyed: threads may outlive the static objects
  return all;
}

}  // namespace

std::vector<DeviceInfo> devices() {
  std::vector<DeviceInfo> all(static_cast<std::size_t>(device_count()));
  for (int i = 0; i < static_cast<int>(all.size()); i++) all[i] = describe(i);
  return all;
}

std::shared_ptr<const Context> Context::of(int index) {
  const std::lock_guard lock(registry().mutex);
  std::weak_ptr<const Context>& entry = registry().contexts[index];
  if (auto context = entry.lock()) return context;
  if (const int count = device_count(); index < 0 || index >= count) {
    throw Error(ErrorCode::device, "CUDA: there is no GPU " + std::to_string(index) + ": the driver shows " +
                                       std::to_string(count) + ", counted from 0");
  }
  auto context = std::make_shared<const Context>(describe(index));
  entry = context;
  return context;
}

Context::Context(const DeviceInfo& device) : device_(device), handle_(handle_of(device.index)) {
  check(driver().cuDevicePrimaryCtxRetain(&context_, handle_), "cuDevicePrimaryCtxRetain");
}

Context::~Context() { driver().cuDevicePrimaryCtxRelease(handle_); }

Context::Scope::Scope(const Context& context) noexcept {
  changed_ = driver().cuCtxGetCurrent(&before_) == CUDA_SUCCESS && before_ != context.context_ &&
             driver().cuCtxSetCurrent(context.context_) == CUDA_SUCCESS;
}

Context::Scope::~Scope() {
  if (changed_) driver().cuCtxSetCurrent(before_);
}

}  // namespace flow::cuda
