// See route.h.

#include "route.h"

#include "jit.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <limits>

namespace mp {
namespace {

struct Samples {
  Variant variant;
  RouteGeometry geometry;
  calls::RouteShape shape;
  c10::DeviceIndex device;

  Samples(const GpuGates& gates, const std::vector<at::Tensor>& dys) {
    const auto& xs = gates.xs;
    const auto& weight2 = gates.layers[2];
    const int64_t row = gates.planes ? gates.pixels : gates.channels;
    // 16 bytes: more would take too many registers.
    const int most = static_cast<int>(16 / xs[0].element_size());
    const int width = std::min({width_of(row, xs), width_of(row, dys), most});
    variant = {Source::kRoute, xs[0].scalar_type(), width, static_cast<int>(xs.size()),
               static_cast<int>(weight2.size(1))};
    geometry = {xs[0].size(0), variant.sources, variant.targets, gates.channels, weight2.size(2)};
    TORCH_CHECK(geometry.room() <= RouteGeometry::kMostRoom && gates.channels * gates.pixels <
                    std::numeric_limits<int32_t>::max(),
                "fewer channels, hidden features or pixels expected");
    shape = {static_cast<int>(gates.channels), static_cast<int>(gates.pixels), gates.planes ? 1 : 0,
             static_cast<int>(geometry.hidden), gates.normalisation, static_cast<float>(gates.temperature)};
    device = xs[0].device().index();
  }

  void run(const char* kernel, const void* call) const {
    launch(variant, kernel, geometry.each(), call, device, static_cast<unsigned>(geometry.room()));
  }
};

float* floats(const at::Tensor& tensor) { return tensor.defined() ? static_cast<float*>(tensor.data_ptr()) : nullptr; }

}  // namespace

void gpu_route(const GpuGates& gates, const at::Tensor& pooled, const at::Tensor& hidden, const at::Tensor& logits,
               const at::Tensor& weights, const std::vector<at::Tensor>& ys) {
  if (gates.xs[0].size(0) == 0) {
    return;
  }
  const c10::DeviceGuard on(gates.xs[0].device());
  const Samples samples(gates, {});
  calls::RouteCall call{};
  for (size_t i = 0; i < gates.xs.size(); ++i) call.x[i] = gates.xs[i].data_ptr();
  for (size_t j = 0; j < ys.size(); ++j) call.y[j] = ys[j].data_ptr();
  call.shape = samples.shape;
  call.weight1 = floats(gates.layers[0]);
  call.bias1 = floats(gates.layers[1]);
  call.weight2 = floats(gates.layers[2]);
  call.bias2 = floats(gates.layers[3]);
  call.pooled = floats(pooled);
  call.hidden = floats(hidden);
  call.logits = floats(logits);
  call.weights = floats(weights);
  samples.run(ys.empty() ? "gate_forward" : "route_forward", &call);
}

void gpu_route_gradients(const GpuGates& gates, const at::Tensor& hidden, const at::Tensor& weights,
                         const std::vector<at::Tensor>& dys, const at::Tensor& dweights, const at::Tensor& dlogits,
                         const at::Tensor& passed_logits, const at::Tensor& passed_hidden,
                         const at::Tensor& passed_pooled, const std::vector<at::Tensor>& dxs) {
  if (gates.xs[0].size(0) == 0) {
    return;
  }
  const c10::DeviceGuard on(gates.xs[0].device());
  const Samples samples(gates, dys);
  calls::RouteGradientCall call{};
  for (size_t i = 0; i < gates.xs.size(); ++i) call.x[i] = gates.xs[i].data_ptr();
  for (size_t j = 0; j < dys.size(); ++j) call.dy[j] = dys[j].data_ptr();
  for (size_t i = 0; i < dxs.size(); ++i) call.dx[i] = dxs[i].data_ptr();
  call.shape = samples.shape;
  call.weight1 = floats(gates.layers[0]);
  call.weight2 = floats(gates.layers[2]);
  call.hidden = floats(hidden);
  call.weights = floats(weights);
  call.dweights = floats(dweights);
  call.dlogits = floats(dlogits);
  call.passed_logits = floats(passed_logits);
  call.passed_hidden = floats(passed_hidden);
  call.passed_pooled = floats(passed_pooled);
  samples.run(dys.empty() ? "gate_gradient" : "route_gradient", &call);
}

}  // namespace mp

extern "C" {

// Whether gates of this size have room on a GPU.
bool mp_has_route_room(int sources, int targets, int64_t channels, int64_t hidden) {
  return mp::RouteGeometry{1, sources, targets, channels, hidden}.room() <= mp::RouteGeometry::kMostRoom;
}
}
