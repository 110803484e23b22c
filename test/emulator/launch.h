#pragma once

#include <cstddef>
#include <stdexcept>

#include "language.h"
#include "registry.h"

namespace emu {

/// What went wrong in a kernel, and where.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The launch itself was refused; no thread ran.
struct ConfigurationError : Error {
  using Error::Error;
};

constexpr std::size_t max_shared_bytes = 227 << 10;

/// Throws a ConfigurationError unless the device would begin such a launch. `shared_limit` is what the kernel may ask
/// for.
void check_configuration(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                         std::size_t shared_limit = max_shared_bytes);

/// Runs the kernel; `parameters` is its struct. Blocks run on EMULATOR_THREADS threads (default: as many as there are
/// cores; one with AddressSanitizer and in the race build). One launch runs at a time, whoever calls. Without `ampere`,
/// kernels take the paths of devices before compute capability 8.0 (ptx.cuh).
void launch(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const void* parameters,
            bool ampere = true);

template <class Parameters>
void launch(const char* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const Parameters& parameters) {
  const Kernel* found = find_kernel(kernel);
  if (found == nullptr) throw ConfigurationError(std::string("no kernel is named ") + kernel);
  if (found->parameter_bytes != sizeof(Parameters)) {
    throw ConfigurationError(std::string(kernel) + " takes parameters of another size");
  }
  launch(*found, grid, block, shared_bytes, static_cast<const void*>(&parameters));
}

}  // namespace emu
