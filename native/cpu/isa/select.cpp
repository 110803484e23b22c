#include <array>
#include <string>

#include "cpu/isa/tables.h"
#include "ops/error.h"

namespace flow::cpu {

namespace {

struct Runnable {
  std::array<const Kernels*, 4> tables{};
  std::size_t count = 0;
  void add(const Kernels& kernels) { tables[count++] = &kernels; }
};

Runnable find_runnable() {
  Runnable found;
#if defined(__x86_64__)
  __builtin_cpu_init();  // also asks whether the operating system saves the wide registers
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f")) found.add(avx512_kernels);
  if (avx2) found.add(avx2_kernels);
  if (avx2) found.add(avx512_split_kernels);
  found.add(sse2_kernels);
#elif defined(__aarch64__)
  found.add(neon_kernels);
#else
#error "the CPU engine knows x86-64 and AArch64"
#endif
  return found;
}

}  // namespace

std::span<const Kernels* const> runnable_kernels() {
  static const Runnable found = find_runnable();
  return {found.tables.data(), found.count};
}

const Kernels& find_kernels(std::string_view name) {
  if (name.empty()) return *runnable_kernels().front();
  std::string names;
  for (const Kernels* kernels : runnable_kernels()) {
    if (kernels->name == name) return *kernels;
    names += std::string(names.empty() ? "" : ", ") + kernels->name;
  }
  throw Error(ErrorCode::device, "DINOV3_FLOW_ISA is '" + std::string(name) + "', but this machine runs " + names +
                                     ": set one of them, or none");
}

}  // namespace flow::cpu
