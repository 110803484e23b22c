#pragma once

#include <cstddef>
#include <stdexcept>

#include "language.h"
#include "registry.h"

namespace emu {

/// A mistake of a kernel, and its place.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The launch itself was refused; no thread ran.
struct ConfigurationError : Error {
  using Error::Error;
};

constexpr std::size_t max_shared_bytes = 227 << 10;

/// Throws a ConfigurationError if the device would refuse such a launch. `shared_limit` is the bytes of shared memory
/// that the kernel may ask for.
void check_configuration(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                         std::size_t shared_limit = max_shared_bytes);

/// Whether a kernel may begin before the launches before it are done.
enum class Begin { after_previous, before_previous_ends };

/// Runs the kernel; `parameters` is its struct. Blocks run on EMULATOR_THREADS host threads (default: one per core; a
/// single one with AddressSanitizer and in the builds race and count). Launches of all callers run one at a time.
/// Without `ampere`, kernels take the paths of devices before compute capability 8.0 (ptx.cuh).
void launch(const Kernel& kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const void* parameters,
            bool ampere = true, Begin begin = Begin::after_previous);

template <class Parameters>
void launch(const char* kernel, dim3 grid, dim3 block, std::size_t shared_bytes, const Parameters& parameters,
            Begin begin = Begin::after_previous) {
  const Kernel* found = find_kernel(kernel);
  if (found == nullptr) throw ConfigurationError(std::string("no kernel is named ") + kernel);
  if (found->parameter_bytes != sizeof(Parameters)) {
    throw ConfigurationError(std::string(kernel) + " takes parameters of another size");
  }
  launch(*found, grid, block, shared_bytes, static_cast<const void*>(&parameters), true, begin);
}

}  // namespace emu
