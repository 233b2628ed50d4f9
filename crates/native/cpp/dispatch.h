// Calls of the instances that the loops over numbers have.

#pragma once

#include "vector.h"

#include <ATen/core/Tensor.h>

namespace mp {

// `body.operator()<Number, Real>()` for the number format of a tensor, with the format that sums are made in.
template <typename Body>
void dispatch(at::ScalarType kind, Body body) {
  switch (kind) {
    case at::kFloat: return body.template operator()<float, float>();
    case at::kBFloat16: return body.template operator()<bf16, float>();
    case at::kDouble: return body.template operator()<double, double>();
    default: TORCH_CHECK(false, "float32, float64 or bfloat16 expected, not ", kind);
  }
}

// The format that sums over numbers of `kind` are made in.
inline at::ScalarType accumulator(at::ScalarType kind) { return kind == at::kDouble ? at::kDouble : at::kFloat; }

template <typename Number>
Number* numbers(const at::Tensor& tensor) {
  return static_cast<Number*>(tensor.data_ptr());
}

}  // namespace mp
