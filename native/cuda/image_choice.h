#pragma once

#include <string>
#include <vector>

#include "cuda/device.h"
#include "cuda/kernel_images.h"

namespace flow::cuda {

/// The sets that a driver of that version should load for the device, the best first: machine code of its capability,
/// then of lower minor ones, then PTX for the newest capability, which the driver compiles.
///
/// Machine code runs on GPUs of its own major capability and no lower minor one, on a Tegra only if it is the Tegra's
/// own (CUDA C++ Programming Guide, "Binary compatibility"). An architecture with an `a` runs on that capability alone,
/// one with an `f` as machine code does.
std::vector<const ImageSet*> candidates(std::span<const ImageSet> sets, int driver_version, const DeviceInfo& device);

/// Why there are no candidates, and what to do.
std::string why_no_candidates(std::span<const ImageSet> sets, int driver_version, const DeviceInfo& device);

/// The first candidate that the driver loads: the others are there in case that it refuses one. Only the smallest image
/// of a set is tried, so that this takes no time. Makes the context current meanwhile. Throws Error(device) with what
/// to do.
const ImageSet& choose_images(const Context& context, std::span<const ImageSet> sets = image_sets());

/// The compute capability that a set's kernels are compiled for, 80 for 8.0. They have no instructions of later ones,
/// though the device may be newer.
int capability_of(const ImageSet& set);

/// Whether the kernels of a set, on a device that can run them, may be launched before the kernels before them are done
/// (programmatic dependent launch). Kernels compiled for 9.0 and later wait for those before them, as kernel.cuh says.
/// Others do not, and would compute with half of the results. Drivers record such launches from CUDA 12.3 on.
bool may_launch_programmatically(const ImageSet& set, int driver_version, const DeviceInfo& device);

}  // namespace flow::cuda
