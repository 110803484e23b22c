#pragma once

#include "cuda/device.h"

namespace flow::cuda {

/// Whether kernels should read and write page-locked host memory where it lies, instead of a copy in device memory.
///
/// A GPU with memory of its own should not. An integrated GPU computes in the host's memory anyway, but not all
/// generations cache page-locked memory, and a kernel that reads a pixel several times then waits for each read. No
/// attribute of the driver tells, so this is measured, once per process and device. Throws
/// Error(device), Error(out_of_memory).
bool computes_in_place(const ContextPtr& context);

}  // namespace flow::cuda
