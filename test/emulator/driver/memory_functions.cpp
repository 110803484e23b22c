#include <cstring>

#include "../count.h"
#include "call.h"
#include "device.h"
#include "exports.h"
#include "trace.h"

// Device memory, host memory, copies.

namespace flow::cuda {

using namespace emu;

namespace {

/// Frees `p`. Checks the guards first, since this is the last chance.
CUresult free_checked(Context& context, void* p, Memory::Kind kind, const char* function) {
  if (!context.memory.is_start(p, kind)) return CUDA_ERROR_INVALID_VALUE;
  // Memory of the device is freed once the device is idle. No document promises that for memory of the host.
  if (kind == Memory::Kind::device) context.queues.run_all();
  check_guards(context, function);
  context.memory.free(p, kind);
  return CUDA_SUCCESS;
}

/// A range of device memory that a copy touches. It is checked when the copy is submitted and again when it is done,
/// because a graph may outlive the memory that it copies.
struct Range {
  CUdeviceptr start;
  std::size_t bytes;
};

template <class Copy>
CUresult submit_copy(const char* name, CUstream stream, std::initializer_list<Range> ranges, Copy copy) {
  return context_call(name, Capture::allowed, [&](State& s, Context& context) {
    const auto valid = [name, &context, all = std::vector<Range>(ranges)] {
      for (const Range& r : all) {
        if (context.memory.contains(r.start, r.bytes)) continue;
        report(std::string(name) + ": " + std::to_string(r.bytes) + " bytes are not within one allocation");
        return false;
      }
      return true;
    };
    if (!valid()) return CUDA_ERROR_INVALID_VALUE;
    return submit(s, context, stream, [name, valid, copy, bytes = ranges.begin()->bytes] {
      if (!valid()) return CUDA_ERROR_ILLEGAL_ADDRESS;
      copy();
      note_copy(name, bytes);
      return CUDA_SUCCESS;
    });
  });
}

template <class T>
T* pointer(CUdeviceptr p) {
  return reinterpret_cast<T*>(p);
}

}  // namespace

CUresult cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return context_call("cuMemGetInfo", Capture::allowed, [&](State&, Context& context) {
    if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *total = device::memory();
    *free = *total - std::min(*total, context.memory.device_bytes());
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAlloc_v2(CUdeviceptr* p, std::size_t bytes) {
  return context_call("cuMemAlloc", Capture::unsafe, [&](State&, Context& context) {
    if (p == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    const std::size_t used = context.memory.device_bytes(), total = device::memory();
    if (used > total || bytes > total - used) return CUDA_ERROR_OUT_OF_MEMORY;
    void* const memory = context.memory.allocate(bytes, Memory::Kind::device, device::ipc());
    if (memory == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    *p = reinterpret_cast<CUdeviceptr>(memory);
    trace("device-alloc", memory, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFree_v2(CUdeviceptr p) {
  return context_call("cuMemFree", Capture::unsafe, [&](State&, Context& context) {
    if (p == 0) return CUDA_SUCCESS;
    const CUresult result = free_checked(context, pointer<void>(p), Memory::Kind::device, "cuMemFree");
    if (result == CUDA_SUCCESS) trace("device-free", pointer<void>(p), 0);
    return result;
  });
}

CUresult cuMemHostAlloc(void** p, std::size_t bytes, unsigned flags) {
  return context_call("cuMemHostAlloc", Capture::unsafe, [&](State&, Context& context) {
    constexpr unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP;
    if (p == nullptr || bytes == 0 || (flags & ~known) != 0) return CUDA_ERROR_INVALID_VALUE;
    *p = context.memory.allocate(bytes, Memory::Kind::host);
    if (*p == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    trace("alloc", *p, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFreeHost(void* p) {
  return context_call("cuMemFreeHost", Capture::unsafe, [&](State&, Context& context) {
    const CUresult result = free_checked(context, p, Memory::Kind::host, "cuMemFreeHost");
    if (result == CUDA_SUCCESS) trace("free", p, 0);
    return result;
  });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device, void* host, unsigned flags) {
  return context_call("cuMemHostGetDevicePointer", Capture::allowed, [&](State&, Context& context) {
    if (device == nullptr || flags != 0 || !context.memory.contains(reinterpret_cast<std::uintptr_t>(host), 1)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    *device = reinterpret_cast<CUdeviceptr>(host);
    return CUDA_SUCCESS;
  });
}

CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** values, CUdeviceptr p) {
  return context_call("cuPointerGetAttributes", Capture::allowed, [&](State& s, Context&) {
    if (attributes == nullptr || values == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    CUcontext owner = nullptr;
    std::optional<Memory::Block> block;
    int device = -2;
    for (const auto& [index, context] : s.primary_contexts) {
      const Context* const found = s.contexts.find(context);
      if (found == nullptr || !(block = found->memory.block_at(p))) continue;
      owner = context, device = index;
      break;
    }
    const auto type = [&]() -> unsigned {
      if (!block) return 0;
      return block->kind == Memory::Kind::host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    }();
    for (unsigned i = 0; i < count; i++) {
      switch (attributes[i]) {
        case CU_POINTER_ATTRIBUTE_CONTEXT: *static_cast<CUcontext*>(values[i]) = owner; break;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *static_cast<unsigned*>(values[i]) = type; break;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *static_cast<int*>(values[i]) = device; break;
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
          *static_cast<CUdeviceptr*>(values[i]) = block ? block->start : 0;
          break;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *static_cast<std::size_t*>(values[i]) = block ? block->bytes : 0; break;
        default: return CUDA_ERROR_INVALID_VALUE;
      }
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t bytes, CUstream stream) {
  return submit_copy("cuMemsetD8Async", stream, {{to, bytes}}, [=] { std::memset(pointer<void>(to), value, bytes); });
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return submit_copy("cuMemcpyHtoDAsync", stream, {{to, bytes}}, [=] {
    std::memcpy(pointer<void>(to), from, bytes);
    trace("to-device", from, bytes);
  });
}

CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return submit_copy("cuMemcpyDtoHAsync", stream, {{from, bytes}}, [=] {
    std::memcpy(to, pointer<const void>(from), bytes);
    trace("to-host", to, bytes);
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return submit_copy("cuMemcpyDtoDAsync", stream, {{to, bytes}, {from, bytes}},
                     [=] { std::memmove(pointer<void>(to), pointer<const void>(from), bytes); });
}

}  // namespace flow::cuda
