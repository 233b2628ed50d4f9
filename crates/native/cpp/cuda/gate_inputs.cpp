// See gate_inputs.h.

#include "gate_inputs.h"

#include "jit.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <limits>

namespace mp {
namespace {

struct Rows {
  Variant variant;
  int64_t rows;
  int64_t across;
  SamplesGeometry geometry;
  c10::DeviceIndex device;

  Rows(const std::vector<at::Tensor>& xs, const at::Tensor& weights, int64_t rows, int64_t row, int width)
      : variant{Source::kGateInputs, xs[0].scalar_type(), width, static_cast<int>(xs.size()),
                static_cast<int>(weights.size(2))},
        rows(rows),
        across(row / width),
        device(xs[0].device().index()) {
    TORCH_CHECK(rows * across < std::numeric_limits<int32_t>::max(), "samples of fewer numbers expected");
    geometry = {xs[0].size(0), rows * across, multiprocessors(device)};
  }

  Geometry for_sources(Geometry of) const {
    of.grid.z = static_cast<unsigned>(variant.sources);
    return of;
  }
};

}  // namespace

void gpu_gate_inputs(const std::vector<at::Tensor>& xs, const at::Tensor& weights, const std::vector<at::Tensor>& zs,
                     int64_t rows, int64_t width) {
  if (xs[0].numel() == 0) {
    return;
  }
  const c10::DeviceGuard on(xs[0].device());
  const Rows samples(xs, weights, rows, width, width_of(width, xs));
  calls::GateInputsCall call{};
  for (size_t i = 0; i < xs.size(); ++i) call.x[i] = xs[i].data_ptr();
  for (size_t j = 0; j < zs.size(); ++j) call.z[j] = zs[j].data_ptr();
  call.weights = static_cast<const float*>(weights.data_ptr());
  call.rows = samples.rows;
  call.across = static_cast<unsigned>(samples.across);
  launch(samples.variant, "gate_inputs", samples.for_sources(samples.geometry.each()), &call, samples.device);
}

at::Tensor gpu_gate_inputs_gradients(const std::vector<at::Tensor>& xs, const at::Tensor& weights,
                                     const std::vector<at::Tensor>& dzs, const std::vector<at::Tensor>& dxs,
                                     int64_t rows, int64_t width) {
  if (xs[0].numel() == 0) {
    return at::zeros_like(weights);
  }
  const c10::DeviceGuard on(xs[0].device());
  const Rows samples(xs, weights, rows, width, std::min(width_of(width, xs), width_of(width, dzs)));
  const auto geometry = samples.for_sources(samples.geometry.sums());
  const auto dweights =
      at::empty({weights.size(0), static_cast<int64_t>(geometry.grid.y), weights.size(1), weights.size(2)},
                weights.options());
  calls::GateInputsGradientCall call{};
  for (size_t i = 0; i < xs.size(); ++i) call.x[i] = xs[i].data_ptr();
  for (size_t j = 0; j < dzs.size(); ++j) call.dz[j] = dzs[j].data_ptr();
  for (size_t i = 0; i < dxs.size(); ++i) call.dx[i] = dxs[i].data_ptr();
  call.weights = static_cast<const float*>(weights.data_ptr());
  call.dweights = static_cast<float*>(dweights.data_ptr());
  call.rows = samples.rows;
  call.across = static_cast<unsigned>(samples.across);
  launch(samples.variant, "gate_inputs_gradient", geometry, &call, samples.device);
  return geometry.grid.y == 1 ? dweights.squeeze(1) : dweights.sum(1);
}

}  // namespace mp
