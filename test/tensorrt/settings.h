#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

// The emulated TensorRT, described by environment variables. Each is read whenever it is needed:
//
//   NVINFER_EMU_VERSION  10.16.1
//   NVINFER_EMU_FAULT    what goes wrong: `network`, `parse`, `build` or `deserialize` fail; `hang`: a build goes on
//                        until it is told to end, or for ever; `tensors`: an engine has a third one; `wrong`, `nan`: it
//                        computes that; `slow`: it takes 50 ms more; `enqueue`: it does not run
//   NVINFER_EMU_LOG      a file that gets a line for each `build` begun, each `built` and each plan `loaded`

namespace nvinfer_emu {

inline std::string_view setting(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

struct Version {
  int major = 0, minor = 0, patch = 0;
};

inline Version version() {
  Version v;
  const std::string text(setting("NVINFER_EMU_VERSION", "10.16.1"));
  char* end = nullptr;
  v.major = static_cast<int>(std::strtol(text.c_str(), &end, 10));
  if (*end == '.') v.minor = static_cast<int>(std::strtol(end + 1, &end, 10));
  if (*end == '.') v.patch = static_cast<int>(std::strtol(end + 1, &end, 10));
  return v;
}

inline bool fault(std::string_view name) { return setting("NVINFER_EMU_FAULT", "") == name; }

}  // namespace nvinfer_emu
