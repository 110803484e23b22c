// Device memory that is not the package's: an addon that allocates on the driver of DINOV3_FLOW_CUDA_DRIVER by itself,
// in the primary context of a device, as a decoder or another network does.
#include <dlfcn.h>
#include <node_api.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

template <class Function>
Function find(const char* name) {
  static void* const library = dlopen(std::getenv("DINOV3_FLOW_CUDA_DRIVER"), RTLD_NOW);
  return reinterpret_cast<Function>(dlsym(library, name));
}

void use_device(int index) {
  find<int (*)(unsigned)>("cuInit")(0);
  void* context = nullptr;
  find<int (*)(void**, int)>("cuDevicePrimaryCtxRetain")(&context, index);
  find<int (*)(void*)>("cuCtxSetCurrent")(context);
}

void wait_for_default_stream() { find<int (*)(void*)>("cuStreamSynchronize")(nullptr); }

struct Arguments {
  Arguments(napi_env env, napi_callback_info info) : env(env) {
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }
  std::uint64_t address(int i) const {
    std::uint64_t value = 0;
    bool lossless = false;
    napi_get_value_bigint_uint64(env, values[i], &value, &lossless);
    return value;
  }
  std::uint32_t number(int i) const {
    std::uint32_t value = 0;
    napi_get_value_uint32(env, values[i], &value);
    return value;
  }
  void* bytes(int i, std::size_t& length) const {
    void* data = nullptr;
    napi_get_typedarray_info(env, values[i], nullptr, &length, &data, nullptr, nullptr);
    return data;
  }
  napi_env env;
  std::size_t count = 3;
  napi_value values[3] = {};
};

/// (bytes, device): the address of new memory
napi_value allocate(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  use_device(static_cast<int>(arguments.number(1)));
  std::uintptr_t address = 0;
  find<int (*)(std::uintptr_t*, std::size_t)>("cuMemAlloc_v2")(&address, arguments.number(0));
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, address, &result);
  return result;
}

/// (bytes, device): the address of new page-locked memory of the host
napi_value allocate_host(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  use_device(static_cast<int>(arguments.number(1)));
  void* address = nullptr;
  find<int (*)(void**, std::size_t, unsigned)>("cuMemHostAlloc")(&address, arguments.number(0), 0);
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, reinterpret_cast<std::uintptr_t>(address), &result);
  return result;
}

/// (address)
napi_value release(napi_env env, napi_callback_info info) {
  find<int (*)(std::uintptr_t)>("cuMemFree_v2")(Arguments(env, info).address(0));
  return nullptr;
}

void free_bytes(void* bytes) { std::free(bytes); }

/// (device): the handle of a new stream, which no other waits for
napi_value create_stream(napi_env env, napi_callback_info info) {
  use_device(static_cast<int>(Arguments(env, info).number(0)));
  std::uintptr_t stream = 0;
  find<int (*)(std::uintptr_t*, unsigned)>("cuStreamCreate")(&stream, 1);
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, stream, &result);
  return result;
}

/// (stream)
napi_value destroy_stream(napi_env env, napi_callback_info info) {
  find<int (*)(std::uintptr_t)>("cuStreamDestroy_v2")(Arguments(env, info).address(0));
  return nullptr;
}

/// (stream): captures what the stream gets
napi_value begin_capture(napi_env env, napi_callback_info info) {
  find<int (*)(std::uintptr_t, int)>("cuStreamBeginCapture_v2")(Arguments(env, info).address(0), 1);
  return nullptr;
}

/// (stream)
napi_value end_capture(napi_env env, napi_callback_info info) {
  void* graph = nullptr;
  find<int (*)(std::uintptr_t, void**)>("cuStreamEndCapture")(Arguments(env, info).address(0), &graph);
  return nullptr;
}

/// (address, bytes, stream): as `write`, in the order of that stream. Waits for nothing.
napi_value queue_write(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  std::size_t length = 0;
  const void* const data = arguments.bytes(1, length);
  void* const bytes = std::malloc(length);
  std::memcpy(bytes, data, length);
  const std::uint64_t stream = arguments.address(2);
  find<int (*)(std::uintptr_t, const void*, std::size_t, std::uintptr_t)>("cuMemcpyHtoDAsync_v2")(
      arguments.address(0), bytes, length, stream);
  find<int (*)(std::uintptr_t, void (*)(void*), void*)>("cuLaunchHostFunc")(stream, free_bytes, bytes);
  return nullptr;
}

/// (address, bytes, stream): queues a copy from there to the bytes
napi_value queue_read(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  std::size_t length = 0;
  void* const data = arguments.bytes(1, length);
  find<int (*)(void*, std::uintptr_t, std::size_t, std::uintptr_t)>("cuMemcpyDtoHAsync_v2")(
      data, arguments.address(0), length, arguments.address(2));
  return nullptr;
}

/// (stream): waits for its work
napi_value finish_stream(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  find<int (*)(std::uintptr_t)>("cuStreamSynchronize")(arguments.address(0));
  return nullptr;
}

/// (address, bytes): writes the bytes there
napi_value write(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  std::size_t length = 0;
  const void* const data = arguments.bytes(1, length);
  find<int (*)(std::uintptr_t, const void*, std::size_t, void*)>("cuMemcpyHtoDAsync_v2")(arguments.address(0), data,
                                                                                         length, nullptr);
  wait_for_default_stream();
  return nullptr;
}

/// (address, bytes): reads what is there into the bytes
napi_value read(napi_env env, napi_callback_info info) {
  const Arguments arguments(env, info);
  std::size_t length = 0;
  void* const data = arguments.bytes(1, length);
  find<int (*)(void*, std::uintptr_t, std::size_t, void*)>("cuMemcpyDtoHAsync_v2")(data, arguments.address(0), length,
                                                                                   nullptr);
  wait_for_default_stream();
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"allocate", allocate},
                   {"allocateHost", allocate_host},
                   {"release", release},
                   {"write", write},
                   {"read", read},
                   {"createStream", create_stream},
                   {"destroyStream", destroy_stream},
                   {"beginCapture", begin_capture},
                   {"endCapture", end_capture},
                   {"queueWrite", queue_write},
                   {"queueRead", queue_read},
                   {"finishStream", finish_stream}};
  for (const auto& [name, function] : functions) {
    napi_value value = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  }
  return exports;
}
