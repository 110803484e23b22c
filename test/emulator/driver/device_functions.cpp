#include <algorithm>
#include <cstdio>
#include <string>

#include "call.h"
#include "device.h"
#include "exports.h"

// Initialisation, devices, contexts, errors.

namespace flow::cuda {

using namespace emu;

namespace {

struct ErrorText {
  int code;
  const char* name;
  const char* text;
};

constexpr ErrorText error_texts[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {4, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {205, "CUDA_ERROR_MAP_FAILED", "mapping of buffer object failed"},
    {208, "CUDA_ERROR_ALREADY_MAPPED", "resource already mapped"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain."},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"},
    {904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

CUresult error_text(CUresult error, const char** to, const char* ErrorText::*which) {
  if (to == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto* found = std::find_if(std::begin(error_texts), std::end(error_texts),
                                   [error](const ErrorText& e) { return e.code == error; });
  *to = found == std::end(error_texts) ? nullptr : found->*which;
  return *to == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

bool exists(CUdevice device) { return device >= 0 && device < device::count(); }

int attribute_value(CUdevice_attribute attribute) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return device::multiprocessors();
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: return device::l2_bytes();
    case CU_DEVICE_ATTRIBUTE_INTEGRATED: return device::integrated() ? 1 : 0;
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: return 1;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return device::capability().major;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return device::capability().minor;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN:
      return static_cast<int>(device::shared_bytes_per_block());
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR:
      return static_cast<int>(device::shared_bytes_per_block()) + 1024;
  }
  return -1;
}

}  // namespace

CUresult cuInit(unsigned flags) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (const auto fault = injected_fault("cuInit")) return *fault;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (device::count() == 0) return CUDA_ERROR_NO_DEVICE;
  s.initialised = true;
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
  const std::lock_guard lock(state().mutex);
  if (const auto fault = injected_fault("cuDriverGetVersion")) return *fault;
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = device::driver_version();
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** text) { return error_text(error, text, &ErrorText::name); }
CUresult cuGetErrorString(CUresult error, const char** text) { return error_text(error, text, &ErrorText::text); }

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  return driver_call("cuDeviceGet", [&](State&) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!exists(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int* count) {
  return driver_call("cuDeviceGetCount", [&](State&) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = device::count();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
  return driver_call("cuDeviceGetName", [&](State&) {
    if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(name, static_cast<std::size_t>(length), "Emulated GPU");
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return driver_call("cuDeviceGetAttribute", [&](State&) {
    if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
    const int known = attribute_value(attribute);
    if (value == nullptr || known < 0) return CUDA_ERROR_INVALID_VALUE;
    *value = known;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  return driver_call("cuDeviceTotalMem", [&](State&) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
    *bytes = device::memory();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return driver_call("cuDeviceGetUuid", [&](State&) {
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
    *uuid = {
        {'e', 'm', 'u', 'l', 'a', 't', 'e', 'd', ' ', 'G', 'P', 'U', ' ', 0, 0, static_cast<unsigned char>(device)}};
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  return driver_call("cuDevicePrimaryCtxRetain", [&](State& s) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!exists(device)) return CUDA_ERROR_INVALID_DEVICE;
    CUcontext& primary = s.primary_contexts[device];
    if (primary == nullptr) primary = s.contexts.add(device);
    s.contexts.find(primary)->retained++;
    *context = primary;
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return driver_call("cuDevicePrimaryCtxRelease", [&](State& s) {
    const auto primary = s.primary_contexts.find(device);
    if (primary == s.primary_contexts.end()) return CUDA_ERROR_INVALID_CONTEXT;
    Context& context = *s.contexts.find(primary->second);
    if (--context.retained > 0) return CUDA_SUCCESS;
    context.queues.run_all();
    if (context.error == CUDA_SUCCESS) check_guards(context, "cuDevicePrimaryCtxRelease");
    s.destroy(primary->second);
    s.primary_contexts.erase(primary);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext* context) {
  return driver_call("cuCtxGetCurrent", [&](State& s) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = s.contexts.find(current_context) == nullptr ? nullptr : current_context;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return driver_call("cuCtxSetCurrent", [&](State& s) {
    if (context != nullptr && s.contexts.find(context) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    current_context = context;
    return CUDA_SUCCESS;
  });
}

}  // namespace flow::cuda
