// Gates and the mixing that they decide on a GPU: see ../route.cpp, and cuda/route.cu for the kernels.

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace mp {

// What the kernels work on: sources of one type and layout on one device, weight1 [S, hidden, C], bias1 [S, hidden], weight2
// [S, T, hidden] and bias2 [S, T] in float32 beside them.
struct GpuGates {
  const std::vector<at::Tensor>& xs;
  const std::vector<at::Tensor>& layers;
  int64_t channels;
  int64_t pixels;
  bool planes;
  // 0 over the targets of each source, 1 over the sources of each target, 2 each weight alone.
  int normalisation;
  double temperature;
};

// Fills pooled features [B, S, C], hidden features [B, S, hidden], logits and weights [B, S, T] in float32, and the targets, unless
// there are none.
void gpu_route(const GpuGates& gates, const at::Tensor& pooled, const at::Tensor& hidden, const at::Tensor& logits,
               const at::Tensor& weights, const std::vector<at::Tensor>& ys);

// Fills the gradients before the temperature [B, S, T] and before the ReLU [B, S, hidden], and of the sources where `dys` are given,
// else of the pooled features, each divided by the pixels. `dweights` and `dlogits` may be undefined.
void gpu_route_gradients(const GpuGates& gates, const at::Tensor& hidden, const at::Tensor& weights,
                         const std::vector<at::Tensor>& dys, const at::Tensor& dweights, const at::Tensor& dlogits,
                         const at::Tensor& passed_logits, const at::Tensor& passed_hidden,
                         const at::Tensor& passed_pooled, const std::vector<at::Tensor>& dxs);

}  // namespace mp
