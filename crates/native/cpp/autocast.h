// Which number format autocast gives to what it knows.

#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>

namespace mp {

// The format that a convolution or a matrix product of `x` runs in.
inline at::ScalarType kind_of(const at::Tensor& x) {
  const auto device = x.device().type();
  return at::autocast::is_autocast_enabled(device) ? at::autocast::get_autocast_dtype(device) : x.scalar_type();
}

}  // namespace mp
