#include "cuda/foreign_memory.h"

#include <array>

#include "cuda/tensor_pool.h"
#include "engine/known_memory.h"

namespace flow::cuda {

namespace {

/// What the driver says of an address.
struct Allocation {
  CUcontext context = nullptr;
  unsigned type = 0;  // 0: no memory that the driver knows
  int device = 0;
  CUdeviceptr start = 0;
  std::size_t size = 0;
};

Allocation allocation_at(const Context& context, const void* address) {
  Allocation found;
  std::array attributes{CU_POINTER_ATTRIBUTE_CONTEXT, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
                        CU_POINTER_ATTRIBUTE_RANGE_SIZE};
  std::array<void*, attributes.size()> values{&found.context, &found.type, &found.device, &found.start, &found.size};
  const Context::Scope scope(context);
  const CUresult result = driver().cuPointerGetAttributes(attributes.size(), attributes.data(), values.data(),
                                                          reinterpret_cast<CUdeviceptr>(address));
  // A driver answers for an address that it does not know with nulls, or with this error.
  if (result == CUDA_ERROR_INVALID_VALUE) return {};
  check(result, "cuPointerGetAttributes");
  return found;
}

[[noreturn]] void refuse(const std::string& reason) { throw Error(ErrorCode::argument, "pointer: " + reason); }

}  // namespace

MemoryPtr ForeignMemory::find(const ContextPtr& context, std::span<const std::byte> bytes) {
  const Allocation found = allocation_at(*context, bytes.data());
  const DeviceInfo& device = context->device();
  if (found.type == 0) refuse("is no address of a GPU's memory: it was freed, or never allocated by CUDA");
  if (found.type == CU_MEMORYTYPE_HOST && !device.integrated) {
    refuse("is an address of the host's memory: give that memory as data, a typed array");
  }
  if (found.type != CU_MEMORYTYPE_HOST && found.type != CU_MEMORYTYPE_DEVICE) refuse("is no address of plain memory");
  if (found.device != device.index) {
    refuse("is in the memory of GPU " + std::to_string(found.device) + ", and the model computes on GPU " +
           std::to_string(device.index));
  }
  if (found.context != nullptr && found.context != context->handle()) {
    refuse("belongs to a CUDA context of its own: allocate in the primary context of the GPU, as CUDA's runtime does");
  }
  if (TensorPool::is_unused(*context, bytes.data())) refuse("is in the memory of a tensor that was disposed");
  const std::size_t offset = reinterpret_cast<CUdeviceptr>(bytes.data()) - found.start;
  if (offset > found.size || bytes.size() > found.size - offset) {
    refuse("has " + std::to_string(found.size - offset) + " bytes behind it in its allocation, and " +
           std::to_string(bytes.size()) + " are needed");
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are integers
  auto* const start = reinterpret_cast<void*>(found.start);
  return find_or_make_known(std::make_shared<const ForeignMemory>(context, start, found.size));
}

ForeignMemory::ForeignMemory(ContextPtr context, void* data, std::size_t size)
    : context_(std::move(context)), data_(data), size_(size) {}

bool ForeignMemory::is_there() const {
  const Allocation found = allocation_at(*context_, data_);
  return found.start == reinterpret_cast<CUdeviceptr>(data_) && found.size == size_;
}

}  // namespace flow::cuda
