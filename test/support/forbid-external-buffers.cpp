// What Electron's Node-API answers to an ArrayBuffer over memory of others. Linked with the addon, and loaded in its place with
// RTLD_DEEPBIND, so that the addon's call ends here.
#include <cstddef>
#include <cstdio>

extern "C" int napi_create_external_arraybuffer(void*, void*, std::size_t bytes, void*, void*, void**) {
  std::fprintf(stderr, "refused %zu bytes\n", bytes);
  return 22;  // napi_no_external_buffers_allowed
}
