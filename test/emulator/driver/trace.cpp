#include "trace.h"

#include <cstdio>
#include <cstdlib>

namespace emu {

void trace(const char* what, const void* address, std::size_t bytes) {
  const char* const path = std::getenv("EMULATOR_TRACE");
  if (path == nullptr || *path == '\0') return;
  std::FILE* const file = std::fopen(path, "a");
  if (file == nullptr) return;
  std::fprintf(file, "%s %p %zu\n", what, address, bytes);
  std::fclose(file);
}

}  // namespace emu
