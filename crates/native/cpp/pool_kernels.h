// The loops of max pooling over a channels-last map. Free of libtorch.

#pragma once

#include "vector.h"

#include <cstdint>

namespace mp {

// Windows of one side length over maps [height, width, channels], of which there are out_height x out_width.
struct PoolShape {
  int64_t height, width, channels;
  int64_t kernel, stride, padding;
  int64_t out_height, out_width;
};

// The largest numbers of the windows of one row of the result, [out_width, channels]; `codes`, where not null, receives in
// which cell of its window each stood, counted by rows, of equal ones the first. A NaN is larger than all others; cells beyond
// the edge are smaller.
void max_pool_row(const float* x, float* y, uint8_t* codes, int64_t row, const PoolShape& shape);
void max_pool_row(const bf16* x, bf16* y, uint8_t* codes, int64_t row, const PoolShape& shape);

// The gradient of one row of the input, [width, channels], from the result's and its codes.
void max_pool_gradient_row(const float* dy, const uint8_t* codes, float* dx, int64_t row, const PoolShape& shape);
void max_pool_gradient_row(const bf16* dy, const uint8_t* codes, bf16* dx, int64_t row, const PoolShape& shape);

}  // namespace mp
