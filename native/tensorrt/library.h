#pragma once

#include <compare>
#include <string>

#include "tensorrt/slots.h"

namespace flow::tensorrt {

struct Version {
  int major = 0, minor = 0, patch = 0;

  auto operator<=>(const Version&) const = default;
  /// "10.16.1"
  std::string text() const;
};

/// TensorRT on this machine: its functions, found when the program runs. Nothing is linked. Libraries are never closed:
/// their threads and static objects may outlive any of ours.
struct Library {
  Version version;
  std::string path;
  const Slots* slots = nullptr;
  void* (*create_builder)(void* logger, int version) noexcept = nullptr;
  void* (*create_runtime)(void* logger, int version) noexcept = nullptr;
  void* (*create_parser)(void* network, void* logger, int version) noexcept = nullptr;
  int number = 0;  // the version, as those functions take it

  /// Opens the newest one that can be used: the library that the environment variable DINOV3_FLOW_TENSORRT names; else
  /// a copy that the process has loaded already; else libnvinfer.so.11 or .10. If there is none, or only one that is
  /// known to compute DINOv3 wrongly, throws Error(device) with the reason and the remedy.
  static Library open();

  /// The logger as this version takes it.
  void* logger() const;
};

/// Why a version is not used, as the rest of a sentence: "is too old: ..."; empty if it is used.
std::string refusal(const Version& version);

/// Forgets what TensorRT told so far.
void forget_messages();
/// Throws Error(device) with what TensorRT told since: "TensorRT 10.16.1 makes no builder. It says: ..."
[[noreturn]] void fail(const Library& library, const std::string& what);

}  // namespace flow::tensorrt
