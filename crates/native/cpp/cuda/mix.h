// Mixing of paths on a GPU: see ../mix.cpp, and cuda/mix.cu for the kernels.

#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace mp {

// Sources of one type and layout on one device, weights [B, S, T] in float32 beside them; targets like the sources.
void gpu_mix(const std::vector<at::Tensor>& xs, const at::Tensor& weights, const std::vector<at::Tensor>& ys);

// Writes the gradients of the sources to `dxs`; gives that of the weights.
at::Tensor gpu_mix_gradients(const std::vector<at::Tensor>& xs, const at::Tensor& weights,
                             const std::vector<at::Tensor>& dys, const std::vector<at::Tensor>& dxs);

}  // namespace mp
