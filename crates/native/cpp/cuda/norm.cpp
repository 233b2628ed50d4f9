// See norm.h.

#include "norm.h"

#include "jit.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

namespace mp {
namespace {

// A map as a matrix, and how the kernels go through it.
struct Matrix {
  int64_t rows;
  int columns;
  Variant variant;
  c10::DeviceIndex device;

  Matrix(const at::Tensor& x, int width)
      : rows(x.size(0) * x.size(2) * x.size(3)),
        columns(static_cast<int>(x.size(1) / width)),
        variant{Source::kNorm, x.scalar_type(), width},
        device(x.device().index()) {}

  RowsGeometry geometry() const { return {rows, columns, multiprocessors(device)}; }

  // Room for the sums of all blocks.
  at::Tensor partials(const at::Tensor& x) const {
    const auto [grid, block] = geometry().sums();
    TORCH_CHECK(grid.y <= kCounters, "maps of fewer channels expected than ", x.size(1));
    return at::empty({static_cast<int64_t>(grid.x) * grid.y * block.x * 2 * variant.width}, values(x));
  }

  static at::TensorOptions values(const at::Tensor& x) { return x.options().dtype(at::kFloat).memory_format(c10::nullopt); }
};

float* floats(const at::Tensor& tensor) { return static_cast<float*>(tensor.data_ptr()); }
void* place(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; }

}  // namespace

GpuNormed gpu_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                   const at::Tensor& running_mean, const at::Tensor& running_var, const at::Tensor& residual,
                   const GpuNormCall& call, bool differentiable) {
  const c10::DeviceGuard on(x.device());
  GpuNormed made;
  made.y = at::empty_like(x, at::MemoryFormat::ChannelsLast);
  const Matrix matrix(x, width_of(x.size(1), {&x, &residual}));
  if (call.training) {
    const auto values = at::empty({4, x.size(1)}, Matrix::values(x)).unbind(0);
    made.mean = values[0];
    made.invstd = values[1];
    made.scale = values[2];
    made.offset = values[3];
    const auto partials = matrix.partials(x);
    const calls::NormMomentsCall moments = {x.data_ptr(),         matrix.rows,
                                            matrix.columns,       floats(partials),
                                            counters(matrix.device), floats(weight),
                                            floats(bias),         floats(running_mean),
                                            floats(running_var),  floats(made.mean),
                                            floats(made.invstd),  floats(made.scale),
                                            floats(made.offset),  call.momentum,
                                            call.eps};
    launch(matrix.variant, "norm_moments", matrix.geometry().sums(), &moments, matrix.device);
  } else if (differentiable) {
    made.mean = running_mean.clone();
    made.invstd = (running_var + call.eps).rsqrt();
    made.scale = weight * made.invstd;
    made.offset = bias - made.mean * made.scale;
  }
  if (differentiable && call.relu && residual.defined()) {
    made.bits = at::empty({matrix.rows * matrix.columns}, Matrix::values(x).dtype(at::kByte));
  }
  const bool by_running = !made.scale.defined();
  const calls::NormApplyCall apply = {x.data_ptr(),
                                      place(residual),
                                      made.y.data_ptr(),
                                      static_cast<unsigned char*>(place(made.bits)),
                                      matrix.rows,
                                      matrix.columns,
                                      floats(by_running ? weight : made.scale),
                                      floats(by_running ? bias : made.offset),
                                      floats(running_mean),
                                      by_running ? floats(running_var) : nullptr,
                                      call.eps};
  const char* const kernel = residual.defined() ? (call.relu ? "norm_apply_add_relu" : "norm_apply_add")
                                                : (call.relu ? "norm_apply_relu" : "norm_apply");
  launch(matrix.variant, kernel, matrix.geometry().each(), &apply, matrix.device);
  return made;
}

std::array<at::Tensor, 4> gpu_norm_gradients(at::Tensor dy, const at::Tensor& x, const GpuNormed& kept,
                                             const GpuNormCall& call, bool residual) {
  constexpr auto kFormat = at::MemoryFormat::ChannelsLast;
  const c10::DeviceGuard on(x.device());
  const bool by_bits = kept.bits.defined(), by_input = call.relu && !by_bits;
  // A byte has the bits of as many numbers as were taken at a time forward.
  const int width = by_bits ? static_cast<int>(x.numel() / kept.bits.numel()) : width_of(x.size(1), {&x, &dy});
  if (width_of(x.size(1), {&dy}) < width) {
    dy = dy.clone(kFormat);
  }
  const Matrix matrix(x, width);
  const auto dx = at::empty_like(x, kFormat);
  // What the ReLU lets through is the residual's.
  at::Tensor masked;
  if (by_bits) {
    const bool ours = dy.use_count() == 1 && dy.storage().use_count() == 1;
    masked = ours ? dy : at::empty_like(dy, kFormat);
  }
  const auto values = at::empty({4, x.size(1)}, Matrix::values(x)).unbind(0);
  const auto partials = matrix.partials(x);
  const calls::NormGradientCall gradient = {dy.data_ptr(),
                                            x.data_ptr(),
                                            static_cast<const unsigned char*>(place(kept.bits)),
                                            dx.data_ptr(),
                                            place(masked),
                                            matrix.rows,
                                            matrix.columns,
                                            call.training ? 1 : 0,
                                            floats(partials),
                                            counters(matrix.device),
                                            floats(kept.mean),
                                            floats(kept.invstd),
                                            floats(kept.scale),
                                            floats(kept.offset),
                                            floats(values[0]),
                                            floats(values[1]),
                                            floats(values[2]),
                                            floats(values[3])};
  const auto run = [&](const char* kernel, const Geometry& geometry) {
    launch(matrix.variant, kernel, geometry, &gradient, matrix.device);
  };
  run(by_bits ? "norm_sums_by_bits" : by_input ? "norm_sums_by_input" : "norm_sums", matrix.geometry().sums());
  run(by_bits ? "norm_gradient_by_bits" : by_input ? "norm_gradient_by_input" : "norm_gradient",
      matrix.geometry().each());
  return {dx, values[0], values[1], !residual ? at::Tensor() : by_bits ? masked : dy};
}

}  // namespace mp
