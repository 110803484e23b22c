#pragma once

#include <cstdlib>
#include <vector>

#include "../emulator/driver/exports.h"
#include "../emulator/probe_kernels.h"
#include "check.h"
#include "made_images.h"

// The emulated driver, called without the engine, for tests of the driver itself.

namespace flow::emulated {

using namespace flow::cuda;

/// Gives a variable of the environment a value during its own lifetime.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

inline void expect(CUresult actual, int expected, const char* what) {
  check::that(actual == expected, what, ": ", static_cast<int>(actual), " for ", expected);
}
inline void ok(CUresult actual, const char* what) { expect(actual, CUDA_SUCCESS, what); }

/// A new current context for each test, with a stream and the probe kernels.
struct Gpu {
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUmodule module = nullptr;

  Gpu() {
    ok(cuInit(0), "cuInit");
    ok(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    ok(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    ok(cuModuleLoadData(&module, flow::made_images::ptx("7.4", "80").c_str()), "cuModuleLoadData");
  }
  ~Gpu() { cuDevicePrimaryCtxRelease_v2(0); }

  CUfunction function(const char* name) const {
    CUfunction f = nullptr;
    ok(cuModuleGetFunction(&f, module, name), name);
    return f;
  }
  CUdeviceptr floats(std::size_t count) const {
    CUdeviceptr p = 0;
    ok(cuMemAlloc_v2(&p, count * sizeof(float)), "cuMemAlloc");
    return p;
  }
  std::vector<float> read(CUdeviceptr p, std::size_t count) const {
    std::vector<float> host(count, -1);
    ok(cuMemcpyDtoHAsync_v2(host.data(), p, count * sizeof(float), stream), "cuMemcpyDtoHAsync");
    ok(cuStreamSynchronize(stream), "cuStreamSynchronize");
    return host;
  }
  void write(CUdeviceptr p, float value, std::size_t count) const {
    const std::vector<float> host(count, value);
    ok(cuMemcpyHtoDAsync_v2(p, host.data(), count * sizeof(float), stream), "cuMemcpyHtoDAsync");
  }
  /// One block of 128 threads.
  CUresult launch(CUfunction f, ProbeParams params, unsigned shared_bytes = 0) const {
    void* parameters[] = {&params};
    return cuLaunchKernel(f, 1, 1, 1, 128, 1, 1, shared_bytes, stream, parameters, nullptr);
  }
  static ProbeParams params(CUdeviceptr in, CUdeviceptr out, bool bug = false) {
    return {reinterpret_cast<float*>(out), reinterpret_cast<const float*>(in), 128, bug ? 1 : 0};
  }
};

struct OnGpu : check::Register {
  OnGpu(const char* name, void (*body)(Gpu&))
      : Register(name, [body] {
          Gpu gpu;
          body(gpu);
        }) {}
};

}  // namespace flow::emulated
