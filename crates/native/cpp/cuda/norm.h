// Batch normalisation on a GPU: see ../norm.cpp, and cuda/norm.cu for the kernels.

#pragma once

#include <ATen/core/Tensor.h>

#include <array>

namespace mp {

// What one call made, and what its backward pass reads: per-channel values [C] (absent where no gradient is wanted and the
// statistics are the running ones), and after an addition and a ReLU a bit for each number, set where y is above 0.
struct GpuNormed {
  at::Tensor y;
  at::Tensor mean;
  at::Tensor invstd;
  at::Tensor scale;
  at::Tensor offset;
  at::Tensor bits;
};

struct GpuNormCall {
  bool training;
  bool relu;
  double momentum;
  double eps;
};

// All tensors on one device, maps channels-last and of one type; `residual` may be undefined.
GpuNormed gpu_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   const at::Tensor& running_mean, const at::Tensor& running_var, const at::Tensor& residual,
                   const GpuNormCall& call, bool differentiable);

// The gradients of x, weight, bias and the residual, of which there is none where `residual` is not set. Takes the memory of `dy`
// where nobody else holds it.
std::array<at::Tensor, 4> gpu_norm_gradients(at::Tensor dy, const at::Tensor& x, const GpuNormed& kept,
                                             const GpuNormCall& call, bool residual);

}  // namespace mp
