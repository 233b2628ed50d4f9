// Gated inputs on a GPU: see ../gate_inputs.cpp, and cuda/gate_inputs.cu for the kernels.

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace mp {

// Sources of one type and layout on one device, of `rows` rows of `width` numbers a sample; weights [B, S, T] in float32 beside them;
// targets of rows of the rows of all sources.
void gpu_gate_inputs(const std::vector<at::Tensor>& xs, const at::Tensor& weights, const std::vector<at::Tensor>& zs,
                     int64_t rows, int64_t width);

// Writes the gradients of the sources to `dxs`; gives that of the weights.
at::Tensor gpu_gate_inputs_gradients(const std::vector<at::Tensor>& xs, const at::Tensor& weights,
                                     const std::vector<at::Tensor>& dzs, const std::vector<at::Tensor>& dxs,
                                     int64_t rows, int64_t width);

}  // namespace mp
