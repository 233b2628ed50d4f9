#include "pool_kernels.h"

#include "channels.h"

#include <algorithm>
#include <limits>

namespace mp {
namespace {

template <typename Value>
MP_INLINE Value larger(Value best, Value value) {
  // A NaN compares as false: it takes the place of what is not one, and keeps it.
  return best >= value || best != best ? best : value;
}
MP_INLINE Pair<float> larger(Pair<float> best, Pair<float> value) {
  return {larger(best.first, value.first), larger(best.second, value.second)};
}

MP_INLINE void lowest(float& value) { value = -std::numeric_limits<float>::infinity(); }
MP_INLINE void lowest(Vector<float>& value) { value = -std::numeric_limits<float>::infinity() + Vector<float>{}; }
MP_INLINE void lowest(Pair<float>& value) {
  lowest(value.first);
  lowest(value.second);
}

template <typename Number>
MP_INLINE void max_pool_row_impl(const Number* x, Number* y, int64_t row, const PoolShape& shape) {
  const int64_t top = row * shape.stride - shape.padding;
  const int64_t first_y = std::max<int64_t>(top, 0), last_y = std::min(top + shape.kernel, shape.height);
  for (int64_t column = 0; column < shape.out_width; ++column, y += shape.channels) {
    const int64_t left = column * shape.stride - shape.padding;
    const int64_t first_x = std::max<int64_t>(left, 0), last_x = std::min(left + shape.kernel, shape.width);
    over_channels<Number, float>(shape.channels, MP_OVER_CHANNELS {
      typename Lane::Value best[kBlocks];
      for (int k = 0; k < kBlocks; ++k) lowest(best[k]);
      for (int64_t i = first_y; i < last_y; ++i) {
        for (int64_t j = first_x; j < last_x; ++j) {
          const Number* from = x + (i * shape.width + j) * shape.channels + c;
          for (int k = 0; k < kBlocks; ++k) best[k] = larger(best[k], Lane::read(from + k * Lane::kWidth));
        }
      }
      for (int k = 0; k < kBlocks; ++k) Lane::write(best[k], y + c + k * Lane::kWidth);
    });
  }
}

}  // namespace

MP_CLONES void max_pool_row(const float* x, float* y, int64_t row, const PoolShape& shape) {
  max_pool_row_impl(x, y, row, shape);
}
MP_CLONES void max_pool_row(const bf16* x, bf16* y, int64_t row, const PoolShape& shape) {
  max_pool_row_impl(x, y, row, shape);
}

}  // namespace mp
