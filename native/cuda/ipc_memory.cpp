#include "cuda/ipc_memory.h"

#include <algorithm>
#include <array>

#include "cuda/foreign_memory.h"
#include "engine/known_memory.h"

namespace flow::cuda {

namespace {

/// "GPU-8a2b...", as nvidia-smi writes it of a whole GPU.
std::string uuid_of(const Context& context) {
  CUdevice device = 0;
  check(driver().cuDeviceGet(&device, context.device().index), "cuDeviceGet");
  CUuuid uuid{};
  check(driver().cuDeviceGetUuid(&uuid, device), "cuDeviceGetUuid");
  constexpr const char* digits = "0123456789abcdef";
  std::string text = "GPU";
  for (std::size_t i = 0; i < std::size(uuid.bytes); i++) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += {digits[uuid.bytes[i] >> 4], digits[uuid.bytes[i] & 15]};
  }
  return text;
}

/// Throws unless processes can share the device's memory.
void require_sharing(const Context& context) {
  if (!context.device().integrated) return;
  throw Error(
      ErrorCode::device,
      "GPU " + std::to_string(context.device().index) + " (" + context.device().name +
          ") computes in the host's memory, and CUDA shares none of such a GPU between processes: use one process, "
          "with a thread for each part");
}

[[noreturn]] void not_supported(const Context& context) {
  throw Error(ErrorCode::device, "the driver shares no memory of GPU " + std::to_string(context.device().index) +
                                     " between processes (CUDA_ERROR_NOT_SUPPORTED): use one process");
}

[[noreturn]] void refuse(const std::string& reason) { throw Error(ErrorCode::argument, "shared: " + reason); }

CUdeviceptr address_of(const void* data) { return reinterpret_cast<CUdeviceptr>(data); }

/// An allocation of another process. The driver counts how often it was opened, and closes it with the last one.
class OpenedMemory : public Memory {
 public:
  OpenedMemory(const ContextPtr& context, const SharedBytes& shared) : opened_(context, open(*context, shared)) {
    std::array attributes{CU_POINTER_ATTRIBUTE_RANGE_SIZE};
    std::array<void*, 1> values{&size_};
    check(driver().cuPointerGetAttributes(1, attributes.data(), values.data(), opened_.get()),
          "cuPointerGetAttributes");
  }

  // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver's addresses are integers
  void* data() const override { return reinterpret_cast<void*>(opened_.get()); }
  std::size_t size() const override { return size_; }
  int device() const override { return opened_.context()->device().index; }

 private:
  static CUdeviceptr open(const Context& context, const SharedBytes& shared) {
    CUipcMemHandle handle{};
    std::ranges::copy(shared.allocation, std::begin(handle.reserved));
    CUdeviceptr start = 0;
    const CUresult result = driver().cuIpcOpenMemHandle(&start, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS);
    switch (result) {
      case CUDA_SUCCESS: return start;
      case CUDA_ERROR_NOT_SUPPORTED: not_supported(context);
      case CUDA_ERROR_INVALID_CONTEXT: refuse("is memory of this process: use the tensor itself");
      case CUDA_ERROR_INVALID_VALUE:
      case CUDA_ERROR_INVALID_HANDLE:
      case CUDA_ERROR_MAP_FAILED:
        refuse("cannot be opened (" + error_name(driver(), result) +
               "): the tensor was disposed, its process has ended, or the two processes are in containers that cannot "
               "see each other: start them with --ipc=host and --pid=host");
      default: break;
    }
    check(result, "cuIpcOpenMemHandle");
    return 0;
  }

  Owned<CUdeviceptr, &Driver::cuIpcCloseMemHandle> opened_;
  std::size_t size_ = 0;
};

}  // namespace

SharedBytes share(const ContextPtr& context, std::span<const std::byte> bytes) {
  require_sharing(*context);
  MemoryPtr memory = holding(bytes);
  if (!memory) memory = ForeignMemory::find(context, bytes);
  if (memory->device() != context->device().index) {
    throw Error(ErrorCode::argument, "share: the tensor is not in the memory of the model's GPU");
  }
  if (dynamic_cast<const OpenedMemory*>(memory.get()) != nullptr) {
    throw Error(ErrorCode::argument, "share: the tensor is another process's: pass on what that one has shared");
  }
  const Context::Scope scope(*context);
  CUipcMemHandle handle{};
  const CUresult result = driver().cuIpcGetMemHandle(&handle, address_of(memory->data()));
  if (result == CUDA_ERROR_NOT_SUPPORTED) not_supported(*context);
  if (result == CUDA_ERROR_INVALID_VALUE) {
    throw Error(ErrorCode::argument,
                "share: CUDA shares only memory of cuMemAlloc and cudaMalloc: copy to a tensor of createTensor");
  }
  check(result, "cuIpcGetMemHandle");
  memory->expect_other_users();
  SharedBytes shared{.gpu = uuid_of(*context),
                     .allocation = {},
                     .offset = address_of(bytes.data()) - address_of(memory->data()),
                     .bytes = bytes.size()};
  std::ranges::copy(handle.reserved, shared.allocation.begin());
  return shared;
}

MemoryPtr open_shared(const ContextPtr& context, const SharedBytes& shared) {
  require_sharing(*context);
  if (const std::string own = uuid_of(*context); shared.gpu != own) {
    refuse("is in the memory of " + shared.gpu + ", and the model computes on " + own);
  }
  const Context::Scope scope(*context);
  MemoryPtr memory = find_or_make_known(std::make_shared<const OpenedMemory>(context, shared));
  if (shared.offset > memory->size() || shared.bytes > memory->size() - shared.offset) {
    refuse("names bytes behind the end of its allocation");
  }
  return memory;
}

}  // namespace flow::cuda
