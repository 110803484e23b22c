#include "cuda/cuda_ops.h"
#include "ops/error.h"

namespace flow::cuda {

namespace {

[[noreturn]] void not_yet() { throw Error(ErrorCode::device, "this engine does not choose between motions yet"); }

}  // namespace

void CudaOps::census_costs(const Image& /*from*/, const Image& /*to*/, RealMatrix /*exposure*/,
                           const Labels& /*labels*/, int /*first*/, int /*count*/, const LabelOptions& /*options*/) {
  not_yet();
}
void CudaOps::rate_costs(const Labels& /*labels*/, const LabelOptions& /*options*/) { not_yet(); }
void CudaOps::fit_motions(const Labels& /*labels*/, const LabelOptions& /*options*/) { not_yet(); }
void CudaOps::charge_outside(const Labels& /*labels*/, const LabelOptions& /*options*/) { not_yet(); }
void CudaOps::choose_labels(const Image& /*image*/, const Labels& /*labels*/, const LabelOptions& /*options*/,
                            RealMatrix /*chosen*/) {
  not_yet();
}
void CudaOps::charge_covered(const Labels& /*labels*/, const LabelOptions& /*options*/, RealMatrix /*chosen*/,
                             RealMatrix /*claims*/) {
  not_yet();
}
void CudaOps::take_labels(const Labels& /*labels*/, RealMatrix /*chosen*/, RealMatrix /*flow*/) { not_yet(); }

}  // namespace flow::cuda
