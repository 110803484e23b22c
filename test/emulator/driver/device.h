#pragma once

#include <cstddef>

// The emulated device, described by environment variables. Each is read whenever a function needs it, so that a test
// may change it between two calls:
//
//   EMULATOR_DEVICES         how many there are (1); with 0 cuInit fails
//   EMULATOR_CAPABILITY      9.0
//   EMULATOR_MEMORY          bytes (4 GiB)
//   EMULATOR_SMS             multiprocessors (8)
//   EMULATOR_L2              bytes of the L2 cache (50 MiB)
//   EMULATOR_INTEGRATED      1 where host and device share their memory (0)
//   EMULATOR_SLOW_HOST       1 if kernels that reach into page-locked memory take five times as long, as where it
//                            is not cached (0)
//   EMULATOR_IPC             1 if processes can share memory of the device that is allocated from then on (0)
//   EMULATOR_DRIVER_VERSION  the CUDA version that the driver supports: 11040 is 11.4 (13000)
//
// As a real driver, it does not show a GPU that is newer than itself.
//
// Events tell the time by a clock of the device, which advances by a tenth of a nanosecond for each thread of a kernel.
// So times do not depend on what else the machine does.

namespace emu::device {

struct Capability {
  int major, minor;
};

/// 0 if the driver is older than the GPUs.
int count();
Capability capability();
std::size_t memory();
int multiprocessors();
int l2_bytes();
bool integrated();
bool slow_host();
bool ipc();
int driver_version();
/// The CUDA version whose driver was the first to drive GPUs of that capability.
int first_driver_of(Capability capability);

/// Shared memory of one block, if the function asks for more than 48 KiB. A multiprocessor has 1 KiB more.
std::size_t shared_bytes_per_block();

}  // namespace emu::device
