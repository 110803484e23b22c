#include "cpu/memory.h"

#include <cstdlib>
#include <cstring>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "ops/error.h"

namespace flow::cpu {

namespace {
constexpr std::size_t cache_line = 64;
constexpr std::size_t huge_page = std::size_t{2} << 20;
}  // namespace

void AlignedFloats::Free::operator()(float* p) const { std::free(p); }

AlignedFloats::AlignedFloats(std::size_t count) : size_(count) {
  const std::size_t alignment = count * sizeof(float) >= huge_page ? huge_page : cache_line;
  const std::size_t bytes = (count * sizeof(float) + cache_line - 1) / cache_line * cache_line;
  void* p = nullptr;
  if (posix_memalign(&p, alignment, bytes == 0 ? cache_line : bytes) != 0) {
    throw Error(ErrorCode::out_of_memory,
                "out of memory: " + std::to_string(bytes >> 20) +
                    " MiB could not be allocated; use a smaller `size`, or dispose of other models");
  }
#ifdef __linux__
  if (alignment == huge_page) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  std::memset(p, 0, bytes);
  data_.reset(static_cast<float*>(p));
}

}  // namespace flow::cpu
