// The loop of max pooling over a channels-last map. Free of libtorch.

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

// The largest numbers of the windows of one row of the result, [out_width, channels]. A NaN is larger than all others; cells
// beyond the edge are smaller. Of bfloat16 as of float32.
void max_pool_row(const float* x, float* y, int64_t row, const PoolShape& shape);
void max_pool_row(const bf16* x, bf16* y, int64_t row, const PoolShape& shape);

}  // namespace mp
