#include "cuda/cuda_ops.h"
#include "ops/error.h"

namespace flow::cuda {

namespace {

[[noreturn]] void not_yet() { throw Error(ErrorCode::device, "this engine does not refine a flow yet"); }

}  // namespace

void CudaOps::image_pyramid(const Frame& /*frame*/, std::span<const Image> /*levels*/) { not_yet(); }
void CudaOps::patch_templates(const Image& /*image*/, PatchGrid /*grid*/, RealMatrix /*templates*/) { not_yet(); }
void CudaOps::search_patches(const Image& /*from*/, const Image& /*to*/, PatchGrid /*grid*/, RealMatrix /*templates*/,
                             std::span<const RealMatrix> /*hypotheses*/, bool /*zero*/,
                             const SearchOptions& /*options*/, RealMatrix /*found*/) {
  not_yet();
}
void CudaOps::vote_patches(PatchGrid /*grid*/, RealMatrix /*templates*/, int /*count*/,
                           const SearchOptions& /*options*/, RealMatrix /*found*/, RealMatrix /*patches*/) {
  not_yet();
}
void CudaOps::propagate_patches(const Image& /*from*/, const Image& /*to*/, PatchGrid /*grid*/,
                                RealMatrix /*templates*/, RealMatrix /*patches*/, const SearchOptions& /*options*/,
                                RealMatrix /*out*/) {
  not_yet();
}
void CudaOps::fit_exposure(const Image& /*to*/, PatchGrid /*grid*/, RealMatrix /*templates*/, RealMatrix /*patches*/,
                           RealMatrix /*exposure*/) {
  not_yet();
}
void CudaOps::densify_patches(const Image& /*from*/, const Image& /*to*/, PatchGrid /*grid*/, RealMatrix /*templates*/,
                              RealMatrix /*patches*/, RealMatrix /*exposure*/, RealMatrix /*flow*/,
                              RealMatrix /*sure*/) {
  not_yet();
}
void CudaOps::find_covered(RealMatrix /*flow*/, RealMatrix /*sure*/, RealMatrix /*best*/) { not_yet(); }
void CudaOps::fill_flow(const Image& /*image*/, RealMatrix /*flow*/, RealMatrix /*sure*/,
                        const FillOptions& /*options*/, RealMatrix /*scratch*/) {
  not_yet();
}
void CudaOps::refine_variational(const Image& /*from*/, const Image& /*to*/, int /*plane*/, RealMatrix /*flow*/,
                                 const VariationalOptions& /*options*/, RealMatrix /*out*/) {
  not_yet();
}
void CudaOps::double_flow(RealMatrix /*flow*/, RealMatrix /*out*/) { not_yet(); }

}  // namespace flow::cuda
