// What stands in for our CUDA kernels where libtorch has no CUDA: nothing on a GPU can be given to it.

#include "gate_inputs.h"
#include "mix.h"
#include "norm.h"
#include "route.h"

#include <c10/util/Exception.h>

namespace mp {
namespace {

[[noreturn]] void refuse() { TORCH_CHECK(false, "a tensor on the CPU expected: this was built against a libtorch without CUDA"); }

}  // namespace

GpuNormed gpu_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                   const at::Tensor&, const GpuNormCall&, bool) {
  refuse();
}

std::array<at::Tensor, 4> gpu_norm_gradients(at::Tensor, const at::Tensor&, const GpuNormed&, const GpuNormCall&, bool) {
  refuse();
}

void gpu_gate_inputs(const std::vector<at::Tensor>&, const at::Tensor&, const std::vector<at::Tensor>&, int64_t, int64_t) {
  refuse();
}

at::Tensor gpu_gate_inputs_gradients(const std::vector<at::Tensor>&, const at::Tensor&, const std::vector<at::Tensor>&,
                                     const std::vector<at::Tensor>&, int64_t, int64_t) {
  refuse();
}

void gpu_mix(const std::vector<at::Tensor>&, const at::Tensor&, const std::vector<at::Tensor>&) { refuse(); }

at::Tensor gpu_mix_gradients(const std::vector<at::Tensor>&, const at::Tensor&, const std::vector<at::Tensor>&,
                             const std::vector<at::Tensor>&) {
  refuse();
}

void gpu_route(const GpuGates&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
               const std::vector<at::Tensor>&) {
  refuse();
}

void gpu_route_gradients(const GpuGates&, const at::Tensor&, const at::Tensor&, const std::vector<at::Tensor>&,
                         const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const std::vector<at::Tensor>&) {
  refuse();
}

}  // namespace mp
