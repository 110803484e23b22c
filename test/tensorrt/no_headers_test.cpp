#include "../native/check.h"

namespace {

const check::Register headers("The slots are those of TensorRT's headers",
                              [] { check::skip("TensorRT's headers are not installed"); });

}  // namespace
