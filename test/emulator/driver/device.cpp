#include "device.h"

#include <cstdio>
#include <cstdlib>

namespace emu::device {
namespace {

long long number(const char* variable, long long otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::strtoll(text, nullptr, 10);
}

}  // namespace

int count() {
  return driver_version() < first_driver_of(capability()) ? 0 : static_cast<int>(number("EMULATOR_DEVICES", 1));
}

Capability capability() {
  Capability c{9, 0};
  if (const char* text = std::getenv("EMULATOR_CAPABILITY"); text != nullptr) {
    std::sscanf(text, "%d.%d", &c.major, &c.minor);
  }
  return c;
}

std::size_t memory() { return static_cast<std::size_t>(number("EMULATOR_MEMORY", 4LL << 30)); }
int multiprocessors() { return static_cast<int>(number("EMULATOR_SMS", 8)); }
int l2_bytes() { return static_cast<int>(number("EMULATOR_L2", 50LL << 20)); }
bool slow_host() { return number("EMULATOR_SLOW_HOST", 0) != 0; }
bool ipc() { return number("EMULATOR_IPC", 0) != 0; }
bool integrated() { return number("EMULATOR_INTEGRATED", 0) != 0; }
int driver_version() { return static_cast<int>(number("EMULATOR_DRIVER_VERSION", 13000)); }

int first_driver_of(Capability capability) {
  const auto [major, minor] = capability;
  if (major < 8) return 10000;
  if (major == 8) return minor < 6 ? 11000 : minor == 6 ? 11010 : minor == 7 ? 11040 : 11080;
  if (major == 9) return 11080;
  return major == 11 ? 13000 : 12080;
}

std::size_t shared_bytes_per_block() {
  const auto [major, minor] = capability();
  const int kib = major < 7    ? 48
                  : major == 7 ? (minor == 5 ? 64 : 95)
                  : major == 8 ? (minor == 0 || minor == 7 ? 163 : 99)
                  : major < 12 ? 227
                               : 99;
  return static_cast<std::size_t>(kib) << 10;
}

}  // namespace emu::device
