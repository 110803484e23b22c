// Holds the structures of include/dinov3_flow.h to the layout that DLPack published, and to DLPack's own header where
// that is installed. The header is compiled as C++ here, and as C in native_module.c.
#include <node_api.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): before the namespaces, which its names must not get into

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ours {
#include "include/dinov3_flow.h"
}

#include "../native/check.h"

#ifdef FLOW_DLPACK_HEADER
#undef DLPACK_MAJOR_VERSION
#undef DLPACK_MINOR_VERSION
namespace theirs {
#include <dlpack/dlpack.h>
}
#endif

namespace {

struct Entry {
  const char* name;
  std::size_t ours;
  std::size_t published;  // on systems whose addresses have 8 bytes
};

const check::Register published("The structures are those that DLPack 1 published", [] {
  using namespace ours;
  const Entry entries[] = {
      {"sizeof(DLPackVersion)", sizeof(DLPackVersion), 8},
      {"DLPackVersion::minor", offsetof(DLPackVersion, minor), 4},
      {"sizeof(DLDevice)", sizeof(DLDevice), 8},
      {"DLDevice::device_id", offsetof(DLDevice, device_id), 4},
      {"sizeof(DLDataType)", sizeof(DLDataType), 4},
      {"DLDataType::bits", offsetof(DLDataType, bits), 1},
      {"DLDataType::lanes", offsetof(DLDataType, lanes), 2},
      {"sizeof(DLTensor)", sizeof(DLTensor), 48},
      {"DLTensor::device", offsetof(DLTensor, device), 8},
      {"DLTensor::ndim", offsetof(DLTensor, ndim), 16},
      {"DLTensor::dtype", offsetof(DLTensor, dtype), 20},
      {"DLTensor::shape", offsetof(DLTensor, shape), 24},
      {"DLTensor::strides", offsetof(DLTensor, strides), 32},
      {"DLTensor::byte_offset", offsetof(DLTensor, byte_offset), 40},
      {"sizeof(DLManagedTensorVersioned)", sizeof(DLManagedTensorVersioned), 80},
      {"DLManagedTensorVersioned::manager_ctx", offsetof(DLManagedTensorVersioned, manager_ctx), 8},
      {"DLManagedTensorVersioned::deleter", offsetof(DLManagedTensorVersioned, deleter), 16},
      {"DLManagedTensorVersioned::flags", offsetof(DLManagedTensorVersioned, flags), 24},
      {"DLManagedTensorVersioned::dl_tensor", offsetof(DLManagedTensorVersioned, dl_tensor), 32},
  };
  for (const auto& [name, is, should] : entries) check::that(is == should, name, " is ", is, ", not ", should);
});

const check::Register installed("The structures and values are those of the installed dlpack.h", [] {
#ifdef FLOW_DLPACK_HEADER
#define SAME(expression_of_ours, expression_of_theirs) \
  check::that((expression_of_ours) == (expression_of_theirs), #expression_of_ours, " is ", (expression_of_theirs))
#define SAME_SIZE(type) SAME(sizeof(ours::type), sizeof(theirs::type))
#define SAME_PLACE(type, field)                                     \
  SAME(offsetof(ours::type, field), offsetof(theirs::type, field)); \
  SAME(sizeof(ours::type::field), sizeof(theirs::type::field))
#define SAME_VALUE(name) SAME(static_cast<int>(ours::name), static_cast<int>(theirs::name))
  SAME_SIZE(DLPackVersion);
  SAME_PLACE(DLPackVersion, major);
  SAME_PLACE(DLPackVersion, minor);
  SAME_SIZE(DLDevice);
  SAME_PLACE(DLDevice, device_type);
  SAME_PLACE(DLDevice, device_id);
  SAME_SIZE(DLDataType);
  SAME_PLACE(DLDataType, code);
  SAME_PLACE(DLDataType, bits);
  SAME_PLACE(DLDataType, lanes);
  SAME_SIZE(DLTensor);
  SAME_PLACE(DLTensor, data);
  SAME_PLACE(DLTensor, device);
  SAME_PLACE(DLTensor, ndim);
  SAME_PLACE(DLTensor, dtype);
  SAME_PLACE(DLTensor, shape);
  SAME_PLACE(DLTensor, strides);
  SAME_PLACE(DLTensor, byte_offset);
  SAME_SIZE(DLManagedTensorVersioned);
  SAME_PLACE(DLManagedTensorVersioned, version);
  SAME_PLACE(DLManagedTensorVersioned, manager_ctx);
  SAME_PLACE(DLManagedTensorVersioned, deleter);
  SAME_PLACE(DLManagedTensorVersioned, flags);
  SAME_PLACE(DLManagedTensorVersioned, dl_tensor);
  SAME_VALUE(kDLCPU);
  SAME_VALUE(kDLCUDA);
  SAME_VALUE(kDLCUDAHost);
  SAME_VALUE(kDLCUDAManaged);
  SAME_VALUE(kDLInt);
  SAME_VALUE(kDLUInt);
  SAME_VALUE(kDLFloat);
  SAME_VALUE(kDLBfloat);
  // The masks of both headers are the same macros, which the compiler compares where it sees the second one.
#else
  check::skip("DLPack's header is not installed: -DFLOW_DLPACK_HEADERS=FOLDER");
#endif
});

}  // namespace

int main(int argc, char** argv) { return check::run(argc, argv); }
