// The loops of batch normalisation over matrices of `rows` x `channels` numbers, row by row, which is what a channels-last
// map is. Free of libtorch. `Real` is float for float and bf16 numbers, double for double; per-channel values are Real.

#pragma once

#include "vector.h"

namespace mp {

// Where the gradient of a ReLU after the norm passes.
enum class Mask {
  kNone,    // there is no ReLU
  kInput,   // where x * scale + offset > 0
  kOutput,  // where y > 0
};

#define MP_NORM_DECLARATIONS(Number, Real)                                                                            \
  /* sum[c] += sum over the rows of x - shift[c], square[c] += sum of its squares. */                                 \
  void norm_moments(const Number* x, const Real* shift, Real* sum, Real* square, int64_t rows, int64_t channels);     \
  /* y = x * scale + offset (+ residual), where `relu` at least 0; `residual` may be null. */                         \
  void norm_apply(const Number* x, const Number* residual, Number* y, const Real* scale, const Real* offset,          \
                  bool relu, int64_t rows, int64_t channels);                                                         \
  /* With g = dy where the mask passes: sum[c] += sum of g, product[c] += sum of g (x - mean[c]); g is written to */  \
  /* `masked` where that is not null. `y` is read for Mask::kOutput, scale and offset for Mask::kInput. */            \
  void norm_gradient_sums(const Number* dy, const Number* x, const Number* y, Number* masked, const Real* scale,      \
                          const Real* offset, const Real* mean, Mask mask, Real* sum, Real* product, int64_t rows,    \
                          int64_t channels);                                                                          \
  /* dx = g scale + x slope + constant, with g = dy where the mask (kNone or kInput) passes. */                       \
  void norm_gradient(const Number* dy, const Number* x, Number* dx, const Real* scale, const Real* offset,            \
                     const Real* slope, const Real* constant, Mask mask, int64_t rows, int64_t channels);

MP_NORM_DECLARATIONS(float, float)
MP_NORM_DECLARATIONS(double, double)
MP_NORM_DECLARATIONS(bf16, float)

#undef MP_NORM_DECLARATIONS

}  // namespace mp
