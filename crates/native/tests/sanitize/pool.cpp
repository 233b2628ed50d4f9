// Max pooling and its gradient against their definition, on numbers of few bits, of which many are equal.

#include "../../cpp/pool_kernels.h"

#include "common.h"

#include <limits>
#include <vector>

namespace {

template <typename Number>
void check(const mp::PoolShape& shape) {
  const int64_t inputs = shape.height * shape.width * shape.channels;
  const int64_t results = shape.out_height * shape.out_width * shape.channels;
  Row<Number> x(inputs, 1), y(results, 2), dy(results, 3), dx(inputs, 1);
  Row<uint8_t> codes(results, 1);
  for (int64_t k = 0; k < inputs; ++k) set(x[k], std::round(2 * std::sin(0.7 * static_cast<double>(k))));
  for (int64_t k = 0; k < results; ++k) set(dy[k], static_cast<double>(k % 5));
  for (int64_t row = 0; row < shape.out_height; ++row) {
    const int64_t at = row * shape.out_width * shape.channels;
    mp::max_pool_row(x.data(), y.data() + at, codes.data() + at, row, shape);
  }
  for (int64_t row = 0; row < shape.height; ++row) {
    mp::max_pool_gradient_row(dy.data(), codes.data(), dx.data() + row * shape.width * shape.channels, row, shape);
  }
  std::vector<double> gradient(inputs);
  for (int64_t k = 0; k < results; ++k) {
    const int64_t c = k % shape.channels, column = k / shape.channels % shape.out_width,
                  row = k / shape.channels / shape.out_width;
    double largest = -std::numeric_limits<double>::infinity();
    int64_t place = 0;
    for (int64_t i = row * shape.stride - shape.padding; i < row * shape.stride - shape.padding + shape.kernel; ++i) {
      for (int64_t j = column * shape.stride - shape.padding; j < column * shape.stride - shape.padding + shape.kernel; ++j) {
        if (i < 0 || i >= shape.height || j < 0 || j >= shape.width) continue;
        const int64_t at = (i * shape.width + j) * shape.channels + c;
        if (wide(x[at]) > largest) {
          largest = wide(x[at]);
          place = at;
        }
      }
    }
    expect(wide(y[k]) == largest, "largest of a window", results, k, wide(y[k]), largest);
    gradient[place] += wide(dy[k]);
  }
  for (int64_t k = 0; k < inputs; ++k) {
    expect(wide(dx[k]) == gradient[k], "gradient of pooling", inputs, k, wide(dx[k]), gradient[k]);
  }
}

}  // namespace

void check_pool() {
  for (const int64_t channels : {1, 16, 63, 64, 65, 130}) {
    // ResNet's, Caffe's, one that overlaps all around, and one that leaves cells out.
    for (const mp::PoolShape& shape : {mp::PoolShape{8, 6, channels, 3, 2, 1, 4, 3}, {8, 7, channels, 3, 2, 0, 4, 3},
                                       {4, 5, channels, 3, 1, 1, 4, 5}, {5, 8, channels, 2, 3, 0, 2, 3}}) {
      check<float>(shape);
      check<mp::bf16>(shape);
    }
  }
}
