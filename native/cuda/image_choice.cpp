#include "cuda/image_choice.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace flow::cuda {

namespace {

/// "sm_90a": machine code, 90, 'a'.
struct Architecture {
  bool ptx;
  int number;   // 86 for compute capability 8.6
  char suffix;  // 'a' or 'f', else 0

  explicit Architecture(std::string_view name) : ptx(name.starts_with("compute_")) {
    const std::string digits(name.substr(name.find('_') + 1));
    char* end = nullptr;
    number = static_cast<int>(std::strtol(digits.c_str(), &end, 10));
    suffix = *end;
  }
};

int number_of(const DeviceInfo& device) { return 10 * device.capability_major + device.capability_minor; }

/// Xavier, Orin and Thor.
bool is_tegra(int number) { return number == 72 || number == 87 || number == 110; }

bool fits(const Architecture& architecture, int gpu) {
  const int number = architecture.number;
  if (number == gpu) return true;
  if (architecture.suffix == 'a' || number > gpu) return false;
  if (architecture.ptx && architecture.suffix == 0) return true;
  return number / 10 == gpu / 10 && !is_tegra(number) && !is_tegra(gpu);
}

std::string with_capability(const DeviceInfo& device) {
  return device.name + " (compute capability " + device.capability() + ")";
}

constexpr const char* build_here = "build the addon on this machine, with nvcc (npx dinov3-flow build)";

/// NVIDIA numbers its drivers by releases. The first for a version of CUDA:
const char* first_release(int version) {
  switch (version) {
    case 11040: return ", which is driver 470 or newer";
    case 12000: return ", which is driver 525 or newer";
    case 13000: return ", which is driver 580 or newer";
    default: return "";
  }
}

/// Loads the smallest image of a set and unloads it again. Returns the driver's answer.
CUresult try_to_load(const ImageSet& set) {
  const KernelImage& image = *std::ranges::min_element(set.images, {}, &KernelImage::size);
  CUmodule module = nullptr;
  const CUresult result = driver().cuModuleLoadData(&module, unpack(image).data());
  if (result == CUDA_SUCCESS) driver().cuModuleUnload(module);
  return result;
}

bool is_refusal(CUresult result) {
  return result == CUDA_ERROR_NO_BINARY_FOR_GPU || result == CUDA_ERROR_INVALID_IMAGE ||
         result == CUDA_ERROR_INVALID_PTX || result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
}

}  // namespace

std::vector<const ImageSet*> candidates(std::span<const ImageSet> sets, int driver_version, const DeviceInfo& device) {
  std::vector<const ImageSet*> all;
  for (const ImageSet& set : sets) {
    if (set.driver <= driver_version && fits(Architecture(set.architecture), number_of(device))) all.push_back(&set);
  }
  std::ranges::stable_sort(all, [](const ImageSet* a, const ImageSet* b) {
    const Architecture first(a->architecture), second(b->architecture);
    return first.ptx != second.ptx ? second.ptx : first.number > second.number;
  });
  return all;
}

std::string why_no_candidates(std::span<const ImageSet> sets, int driver_version, const DeviceInfo& device) {
  const ImageSet* oldest = nullptr;  // of those that a newer driver would load
  for (const ImageSet& set : sets) {
    if (fits(Architecture(set.architecture), number_of(device)) && (oldest == nullptr || set.driver < oldest->driver)) {
      oldest = &set;
    }
  }
  if (oldest != nullptr) {
    return "the driver is too old: it is for CUDA " + version_text(driver_version) + ", and the kernels for " +
           with_capability(device) + " in this build, " + oldest->architecture + ", need one for CUDA " +
           version_text(oldest->driver) + first_release(oldest->driver) + "; update " +
           (device.integrated ? "JetPack" : "the driver");
  }
  const std::string why = "this build has kernels for " + architectures(sets) + ", and " + with_capability(device) +
                          " can run none of them";
  constexpr int oldest_supported = 75;
  if (number_of(device) < oldest_supported) return why + ": GPUs of compute capability 7.5 and later are supported";
  return why + "; " + build_here;
}

const ImageSet& choose_images(const Context& context, std::span<const ImageSet> sets) {
  const Context::Scope scope(context);
  const DeviceInfo& device = context.device();
  const auto all = candidates(sets, driver().version, device);
  if (all.empty()) throw Error(ErrorCode::device, "CUDA: " + why_no_candidates(sets, driver().version, device));
  std::string refusals;
  for (const ImageSet* set : all) {
    const CUresult result = try_to_load(*set);
    if (result == CUDA_SUCCESS) return *set;
    if (!is_refusal(result)) check(result, "cuModuleLoadData");
    if (!refusals.empty()) refusals += ", ";
    refusals += std::string(set->architecture) + ": " + error_name(driver(), result);
  }
  throw Error(ErrorCode::device, "CUDA: the driver, for CUDA " + version_text(driver().version) +
                                     ", refuses this build's kernels for " + with_capability(device) + " (" + refusals +
                                     "); update the driver, or " + build_here);
}

int capability_of(const ImageSet& set) { return Architecture(set.architecture).number; }

bool may_launch_programmatically(const ImageSet& set, int driver_version, const DeviceInfo& device) {
  constexpr int first_driver = 12030, first_number = 90;
  return driver_version >= first_driver && number_of(device) >= first_number && capability_of(set) >= first_number;
}

}  // namespace flow::cuda
