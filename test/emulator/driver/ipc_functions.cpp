#include <unistd.h>

#include <cstring>

#include "call.h"
#include "device.h"
#include "exports.h"
#include "trace.h"

// Memory that processes share. A handle says where a process of this machine has the file that the memory is in.

namespace flow::cuda {

using namespace emu;

static_assert(sizeof(Memory::Shared) <= sizeof(CUipcMemHandle));

namespace {

/// As a driver for a Tegra, or where the operating system shares no memory.
bool is_supported() { return device::ipc() && !device::integrated(); }

}  // namespace

CUresult cuIpcGetMemHandle(CUipcMemHandle* handle, CUdeviceptr p) {
  return context_call("cuIpcGetMemHandle", Capture::unsafe, [&](State&, Context& context) {
    if (!is_supported()) return CUDA_ERROR_NOT_SUPPORTED;
    const auto shared = context.memory.share(reinterpret_cast<void*>(p));
    if (handle == nullptr || !shared) return CUDA_ERROR_INVALID_VALUE;
    *handle = {};
    std::memcpy(handle, &*shared, sizeof *shared);
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* p, CUipcMemHandle handle, unsigned flags) {
  return context_call("cuIpcOpenMemHandle", Capture::unsafe, [&](State&, Context& context) {
    if (!is_supported()) return CUDA_ERROR_NOT_SUPPORTED;
    if (p == nullptr || flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) return CUDA_ERROR_INVALID_VALUE;
    Memory::Shared shared{};
    std::memcpy(&shared, &handle, sizeof shared);
    if (shared.process == getpid()) return CUDA_ERROR_INVALID_CONTEXT;
    void* const memory = context.memory.open(shared);
    if (memory == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *p = reinterpret_cast<CUdeviceptr>(memory);
    trace("open", memory, shared.bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcCloseMemHandle(CUdeviceptr p) {
  return context_call("cuIpcCloseMemHandle", Capture::unsafe, [&](State&, Context& context) {
    auto* const memory = reinterpret_cast<void*>(p);
    if (!context.memory.close(memory)) return CUDA_ERROR_INVALID_VALUE;
    trace("close", memory, 0);
    return CUDA_SUCCESS;
  });
}

}  // namespace flow::cuda
