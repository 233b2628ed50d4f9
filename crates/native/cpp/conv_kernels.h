// The gradient of a convolution's weights in bfloat16, by the instruction that multiplies pairs of such numbers and adds both
// products to a float (AVX512-BF16). Kernels of 3x3, a border of one zero, channels-last maps. Free of libtorch.
//
//   dW[k][i][j][c] = sum over images, y and x of dY[y][x][k] X[y stride + i - 1][x stride + j - 1][c]
//
// The sum runs over pixels, and a pair must lie in one lane: maps are packed first, each channel of two columns side by side.
// A block of sums, for one row i of the kernel, its three columns j, 16 channels c and 8 filters k, stays in registers while
// a group of images passes by.

#pragma once

#include "vector.h"

#include <algorithm>

namespace mp {

struct ConvShape {
  int64_t channels;  // of X, a multiple of 16
  int64_t filters;   // channels of dY, a multiple of 16
  int64_t height;    // of X
  int64_t width;     // of X
  int64_t stride;

  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
  // Pairs of columns in a row of dY; the last one may be half empty.
  int64_t pairs() const { return (out_width() + 1) / 2; }
  // Pairs of columns in a row of X: one for each column that a pair of dY's may begin at, from the border on.
  int64_t starts() const { return 2 * stride * (pairs() - 1) + 3; }

  int64_t packed_input() const { return height * starts() * channels; }
  int64_t packed_gradient() const { return out_height() * pairs() * filters; }
  // Words of memory that packing an image takes.
  int64_t packed() const { return packed_input() + packed_gradient(); }
  // Images that are packed at a time: what still fits into the second-level cache.
  int64_t group() const { return std::max<int64_t>(65536 / packed(), 1); }

  int64_t blocks() const { return channels / 16 * 3 * (filters / 8); }
  int64_t weights() const { return 9 * channels * filters; }
};

// Whether this CPU has the instruction, and none for whole tiles of such numbers (AMX): libtorch is the quicker one then.
bool has_bf16_products();

// Sums over `images`: `weights()` numbers, in the order of the blocks. `memory` is that of `group()` packed images.
void conv_weight_sums(const bf16* x, const bf16* dy, int64_t images, const ConvShape& shape, uint32_t* memory, float* sums);

// Adds up the same block of several such sums, and puts it where it belongs in dW, [filters, 3, 3, channels].
void conv_weight_total(const float* sums, int64_t count, int64_t block, const ConvShape& shape, float* to);

}  // namespace mp
