#include "images.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "../block.h"
#include "kernels/gemm.h"

namespace emu {

using namespace flow::cuda;
using device::Capability;

namespace {

struct Driver {
  int version;
  Capability gpu;
};

template <class T>
T read(const unsigned char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

constexpr int number_of(Capability c) { return 10 * c.major + c.minor; }

/// The version of PTX that a driver's compiler knows, 74 for 7.4. From the release notes in the PTX ISA's manual.
int newest_ptx(int driver_version) {
  const int major = driver_version / 1000, minor = driver_version % 1000 / 10;
  if (major == 11) return 70 + minor;
  if (major == 12) return 80 + (minor > 5 ? minor - 1 : minor);  // 12.6 brought none
  return 10 * (major - 4) + minor;
}

/// Exact for a Tegra, whose machine code differs from that of other GPUs.
bool runs_machine_code(const Driver& driver, int sm) {
  const int gpu = number_of(driver.gpu);
  const auto is_tegra = [](int number) { return number == 72 || number == 87 || number == 110; };
  if (is_tegra(sm) || is_tegra(gpu)) return sm == gpu;
  return sm / 10 == gpu / 10 && sm <= gpu;
}

Judgement judge_machine_code(const Driver& driver, int abi, int sm) {
  if (abi > (driver.version < 13000 ? 7 : 8)) return CUDA_ERROR_INVALID_IMAGE;
  return {runs_machine_code(driver, sm) ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU, sm};
}

Judgement judge_ptx(const Driver& driver, int isa, int target, bool of_one_gpu) {
  if (isa > newest_ptx(driver.version)) return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  const int gpu = number_of(driver.gpu);
  return {(of_one_gpu ? target == gpu : target <= gpu) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_PTX, target};
}

Judgement judge_elf(const Driver& driver, const unsigned char* elf) {
  constexpr int for_cuda = 190;
  if (elf[4] != 2 || read<std::uint16_t>(elf + 18) != for_cuda) return CUDA_ERROR_INVALID_IMAGE;
  const auto flags = read<std::uint32_t>(elf + 48);
  const int abi = elf[8];
  return judge_machine_code(driver, abi, static_cast<int>((abi < 8 ? flags : flags >> 8) & 0xff));
}

/// The rest of the line after a directive; empty if there is none.
std::string_view after(std::string_view text, std::string_view directive) {
  const std::size_t at = text.find(directive);
  if (at == text.npos) return {};
  text.remove_prefix(at + directive.size());
  return text.substr(0, text.find('\n'));
}

Judgement judge_text(const Driver& driver, const char* text) {
  const std::string_view all(text);
  const std::string version(after(all, ".version ")), target(after(all, ".target sm_"));
  if (version.empty() || target.empty()) return CUDA_ERROR_INVALID_IMAGE;
  char* end = nullptr;
  const long major = std::strtol(version.c_str(), &end, 10),
             minor = *end == '.' ? std::strtol(end + 1, nullptr, 10) : 0;
  const long sm = std::strtol(target.c_str(), &end, 10);
  return judge_ptx(driver, static_cast<int>(10 * major + minor), static_cast<int>(sm), *end == 'a');
}

/// The layout is that of `fatbinary` 13.0: a header, then entries of a header and a body each.
Judgement judge_fatbin(const Driver& driver, const unsigned char* fatbin) {
  constexpr std::uint64_t zstandard = 0x8000, of_one_gpu = 0x100000;
  const auto* entry = fatbin + read<std::uint16_t>(fatbin + 6);
  const auto* const end = entry + read<std::uint64_t>(fatbin + 8);
  CUresult answer = CUDA_ERROR_NO_BINARY_FOR_GPU;
  for (; entry < end; entry += read<std::uint32_t>(entry + 4) + read<std::uint64_t>(entry + 8)) {
    const bool text = read<std::uint16_t>(entry) == 1;
    const int minor = read<std::uint16_t>(entry + 24), major = read<std::uint16_t>(entry + 26);
    const int sm = read<std::int32_t>(entry + 28);
    const auto flags = read<std::uint64_t>(entry + 40);
    if ((flags & zstandard) != 0 && driver.version < 12040) continue;
    if (!text && (flags & of_one_gpu) != 0 && sm != number_of(driver.gpu)) continue;
    const Judgement one = text ? judge_ptx(driver, 10 * major + minor, sm, (flags & of_one_gpu) != 0)
                               : judge_machine_code(driver, minor, sm);
    if (one.result == CUDA_SUCCESS) return one;
    if (one.result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION) answer = one.result;
  }
  return answer;
}

}  // namespace

Judgement judge_image(const void* image, int driver_version, Capability capability) {
  const Driver driver{driver_version, capability};
  const auto* const bytes = static_cast<const unsigned char*>(image);
  if (std::memcmp(bytes,
                  "\x7f"
                  "ELF",
                  4) == 0)
    return judge_elf(driver, bytes);
  if (read<std::uint32_t>(bytes) == 0xba55ed50) return judge_fatbin(driver, bytes);
  return judge_text(driver, static_cast<const char*>(image));
}

bool image_holds(std::string_view kernel, int capability) {
  namespace kernels = flow::kernels;
  return capability >= 80 || std::ranges::none_of(kernels::gemm_tiles, [&](kernels::GemmTile tile) {
           return kernels::is_wide(tile) && kernel.ends_with(format("_%dx%d", tile.rows, tile.cols));
         });
}

}  // namespace emu
