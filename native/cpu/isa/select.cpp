#include <array>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "cpu/isa/tables.h"
#include "ops/error.h"

namespace flow::cpu {

namespace {

struct Runnable {
  std::array<const Kernels*, 4> tables{};
  std::size_t count = 0;
  void add(const Kernels& kernels) { tables[count++] = &kernels; }
};

#if defined(__x86_64__)

struct Wide {
  bool avx2 = false;
  bool avx512f = false;
};

/// Asks the processor itself: not every compiler's __builtin_cpu_supports finds what is there.
Wide find_wide() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0 || (c & bit_AVX) == 0) return {};
  const bool fma = (c & bit_FMA) != 0;
  unsigned saved = 0;  // the registers that the operating system saves
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  constexpr unsigned ymm = 0x06, zmm = 0xe6;
  if (!fma || (saved & ymm) != ymm || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  const bool avx2 = (b & bit_AVX2) != 0;
  return {.avx2 = avx2, .avx512f = avx2 && (saved & zmm) == zmm && (b & bit_AVX512F) != 0};
}

#endif

Runnable find_runnable() {
  Runnable found;
#if defined(__x86_64__)
  const auto [avx2, avx512f] = find_wide();
  if (avx512f) found.add(avx512_kernels);
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
