#include "faults.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace emu {

using namespace flow::cuda;

namespace {

struct Fault {
  std::string function;
  long first = 0;
  bool repeats = false;
  CUresult code = CUDA_ERROR_UNKNOWN;
  long calls = 0;
};

CUresult usual_error(std::string_view function) {
  if (function == "cuMemAlloc" || function == "cuMemHostAlloc") return CUDA_ERROR_OUT_OF_MEMORY;
  if (function == "cuLaunchKernel" || function == "cuGraphLaunch") return CUDA_ERROR_LAUNCH_FAILED;
  return CUDA_ERROR_UNKNOWN;
}

std::vector<Fault> parse(std::string_view text) {
  std::vector<Fault> faults;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const std::size_t colon = item.find(':');
    if (colon == std::string_view::npos) continue;
    Fault fault;
    fault.function = item.substr(0, colon);
    const std::string numbers(item.substr(colon + 1));
    char* end = nullptr;
    fault.first = std::strtol(numbers.c_str(), &end, 10);
    if (*end == '+') fault.repeats = true, end++;
    fault.code = *end == ':' ? static_cast<CUresult>(std::atoi(end + 1)) : usual_error(fault.function);
    faults.push_back(std::move(fault));
  }
  return faults;
}

}  // namespace

std::optional<CUresult> injected_fault(std::string_view function) {
  static std::string current;
  static std::vector<Fault> faults;
  const char* text = std::getenv("EMULATOR_FAIL");
  if (text == nullptr) text = "";
  if (current != text) {
    current = text;
    faults = parse(current);
  }
  std::optional<CUresult> result;
  for (Fault& fault : faults) {
    if (fault.function != function) continue;
    fault.calls++;
    if (fault.calls == fault.first || (fault.repeats && fault.calls > fault.first)) result = fault.code;
  }
  return result;
}

void wait_while_held(std::string_view function) {
  const char* const folder = std::getenv("EMULATOR_HOLD");
  if (folder == nullptr || *folder == '\0') return;
  const std::filesystem::path file = std::filesystem::path(folder) / function;
  while (std::filesystem::exists(file)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

bool is_sticky(CUresult error) {
  return error >= CUDA_ERROR_ILLEGAL_ADDRESS && error <= CUDA_ERROR_LAUNCH_FAILED &&
         error != CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
}

}  // namespace emu
