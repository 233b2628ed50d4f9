// See mix.h.

#include "mix.h"

#include "jit.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

namespace mp {
namespace {

struct Samples {
  Variant variant;
  int64_t vectors;
  SamplesGeometry geometry;
  c10::DeviceIndex device;

  Samples(const std::vector<at::Tensor>& xs, const at::Tensor& weights, int width)
      : variant{Source::kMix, xs[0].scalar_type(), width, static_cast<int>(xs.size()),
                static_cast<int>(weights.size(2))},
        vectors(xs[0].numel() / xs[0].size(0) / width),
        device(xs[0].device().index()) {
    geometry = {xs[0].size(0), vectors, multiprocessors(device)};
  }
};

int64_t numbers(const at::Tensor& x) { return x.numel() / x.size(0); }

}  // namespace

void gpu_mix(const std::vector<at::Tensor>& xs, const at::Tensor& weights, const std::vector<at::Tensor>& ys) {
  if (xs[0].numel() == 0) {
    return;
  }
  const c10::DeviceGuard on(xs[0].device());
  const Samples samples(xs, weights, width_of(numbers(xs[0]), xs));
  calls::MixCall call{};
  for (size_t i = 0; i < xs.size(); ++i) call.x[i] = xs[i].data_ptr();
  for (size_t j = 0; j < ys.size(); ++j) call.y[j] = ys[j].data_ptr();
  call.weights = static_cast<const float*>(weights.data_ptr());
  call.vectors = samples.vectors;
  launch(samples.variant, "mix_forward", samples.geometry.each(), &call, samples.device);
}

at::Tensor gpu_mix_gradients(const std::vector<at::Tensor>& xs, const at::Tensor& weights,
                             const std::vector<at::Tensor>& dys, const std::vector<at::Tensor>& dxs) {
  if (xs[0].numel() == 0) {
    return at::zeros_like(weights);
  }
  const c10::DeviceGuard on(xs[0].device());
  const int64_t count = numbers(xs[0]);
  const int width = std::min(width_of(count, xs), width_of(count, dys));
  const Samples samples(xs, weights, width);
  const auto geometry = samples.geometry.sums();
  const auto dweights =
      at::empty({weights.size(0), static_cast<int64_t>(geometry.grid.y), weights.size(1), weights.size(2)},
                weights.options());
  calls::MixGradientCall call{};
  for (size_t i = 0; i < xs.size(); ++i) call.x[i] = xs[i].data_ptr();
  for (size_t j = 0; j < dys.size(); ++j) call.dy[j] = dys[j].data_ptr();
  for (size_t i = 0; i < dxs.size(); ++i) call.dx[i] = dxs[i].data_ptr();
  call.weights = static_cast<const float*>(weights.data_ptr());
  call.dweights = static_cast<float*>(dweights.data_ptr());
  call.vectors = samples.vectors;
  launch(samples.variant, "mix_gradient", geometry, &call, samples.device);
  return geometry.grid.y == 1 ? dweights.squeeze(1) : dweights.sum(1);
}

}  // namespace mp
