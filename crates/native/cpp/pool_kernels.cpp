#include "pool_kernels.h"

#include <algorithm>
#include <limits>

namespace mp {
namespace {

// Channels that are taken at a time: loops of plain numbers over so many, which the compiler turns into vectors, stay in the
// first cache. Of comparisons of whole vectors it makes one for each number.
constexpr int64_t kStrip = 64;

// What a window has met so far.
struct Largest {
  float value[kStrip];
  uint32_t code[kStrip];
};

template <typename Number>
MP_INLINE void meet(const Number* from, uint32_t cell, int64_t count, Largest& largest) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) {
    const float best = largest.value[c], other = load(from[c]);
    // A NaN compares as false: it takes the place of what is not one, and keeps it.
    const bool stays = (best >= other) | (best != best);
    largest.value[c] = stays ? best : other;
    largest.code[c] = stays ? largest.code[c] : cell;
  }
}

template <typename Number>
MP_INLINE void max_pool_row_impl(const Number* x, Number* y, uint8_t* codes, int64_t row, const PoolShape& shape) {
  const int64_t top = row * shape.stride - shape.padding;
  const int64_t first_y = std::max<int64_t>(top, 0), last_y = std::min(top + shape.kernel, shape.height);
  for (int64_t column = 0; column < shape.out_width; ++column) {
    const int64_t left = column * shape.stride - shape.padding;
    const int64_t first_x = std::max<int64_t>(left, 0), last_x = std::min(left + shape.kernel, shape.width);
    for (int64_t strip = 0; strip < shape.channels; strip += kStrip) {
      const int64_t count = std::min(kStrip, shape.channels - strip);
      Largest largest;
      std::fill_n(largest.value, kStrip, -std::numeric_limits<float>::infinity());
      std::fill_n(largest.code, kStrip, static_cast<uint32_t>((first_y - top) * shape.kernel + first_x - left));
      for (int64_t i = first_y; i < last_y; ++i) {
        for (int64_t j = first_x; j < last_x; ++j) {
          const auto cell = static_cast<uint32_t>((i - top) * shape.kernel + j - left);
          const Number* from = x + (i * shape.width + j) * shape.channels + strip;
          // A constant number of them is the quicker loop.
          count == kStrip ? meet(from, cell, kStrip, largest) : meet(from, cell, count, largest);
        }
      }
      const int64_t at = column * shape.channels + strip;
      for (int64_t c = 0; c < count; ++c) store(largest.value[c], y[at + c]);
      if (codes != nullptr) {
        for (int64_t c = 0; c < count; ++c) codes[at + c] = static_cast<uint8_t>(largest.code[c]);
      }
    }
  }
}

template <typename Number>
MP_INLINE void add_gradient(const Number* dy, const uint8_t* codes, uint32_t cell, int64_t count, float* sums) {
#pragma omp simd
  for (int64_t c = 0; c < count; ++c) sums[c] += codes[c] == cell ? load(dy[c]) : 0.0f;
}

template <typename Number>
MP_INLINE void max_pool_gradient_row_impl(const Number* dy, const uint8_t* codes, Number* dx, int64_t row,
                                          const PoolShape& shape) {
  // The windows along an axis that reach a cell.
  const auto first_of = [&](int64_t cell) {
    const int64_t behind = cell + shape.padding - shape.kernel + 1;
    return behind <= 0 ? 0 : (behind + shape.stride - 1) / shape.stride;
  };
  const auto last_of = [&](int64_t cell, int64_t count) { return std::min((cell + shape.padding) / shape.stride + 1, count); };
  const int64_t first_y = first_of(row), last_y = last_of(row, shape.out_height);
  for (int64_t column = 0; column < shape.width; ++column) {
    const int64_t first_x = first_of(column), last_x = last_of(column, shape.out_width);
    for (int64_t strip = 0; strip < shape.channels; strip += kStrip) {
      const int64_t count = std::min(kStrip, shape.channels - strip);
      float sums[kStrip] = {};
      for (int64_t i = first_y; i < last_y; ++i) {
        for (int64_t j = first_x; j < last_x; ++j) {
          const auto cell = static_cast<uint32_t>((row - i * shape.stride + shape.padding) * shape.kernel + column -
                                                  j * shape.stride + shape.padding);
          const int64_t from = (i * shape.out_width + j) * shape.channels + strip;
          count == kStrip ? add_gradient(dy + from, codes + from, cell, kStrip, sums)
                          : add_gradient(dy + from, codes + from, cell, count, sums);
        }
      }
      for (int64_t c = 0; c < count; ++c) store(sums[c], dx[column * shape.channels + strip + c]);
    }
  }
}

}  // namespace

#define MP_POOL_KERNELS(Number)                                                                                        \
  MP_CLONES void max_pool_row(const Number* x, Number* y, uint8_t* codes, int64_t row, const PoolShape& shape) {       \
    max_pool_row_impl(x, y, codes, row, shape);                                                                        \
  }                                                                                                                    \
  MP_CLONES void max_pool_gradient_row(const Number* dy, const uint8_t* codes, Number* dx, int64_t row,                \
                                       const PoolShape& shape) {                                                       \
    max_pool_gradient_row_impl(dy, codes, dx, row, shape);                                                             \
  }

MP_POOL_KERNELS(float)
MP_POOL_KERNELS(bf16)

}  // namespace mp
