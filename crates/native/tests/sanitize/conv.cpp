// The gradient of a convolution's weights against its definition, on numbers of few bits: sums of their products are exact,
// so that results are equal to the last bit.

#include "../../cpp/conv_kernels.h"

#include "common.h"

namespace {

Row<mp::bf16> coarse(int64_t count, double phase) {
  Row<mp::bf16> row(count, 1);
  for (int64_t k = 0; k < count; ++k) {
    set(row[k], std::round(16 * std::sin(0.7 * static_cast<double>(k) + phase)) / 16);
  }
  return row;
}

void check(const mp::ConvShape& shape, int64_t images, int64_t parts) {
  const int64_t height = shape.out_height(), width = shape.out_width();
  const int64_t x_size = shape.height * shape.width * shape.channels, dy_size = height * width * shape.filters;
  const auto x = coarse(images * x_size, 0.1), dy = coarse(images * dy_size, 0.5);
  Row<float> sums(parts * shape.weights()), total(shape.weights());
  Row<uint32_t> memory(shape.group() * shape.packed());
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * images / parts, last = (part + 1) * images / parts;
    mp::conv_weight_sums(x.data() + first * x_size, dy.data() + first * dy_size, last - first, shape, memory.data(),
                         sums.data() + part * shape.weights());
  }
  for (int64_t block = 0; block < shape.blocks(); ++block) {
    mp::conv_weight_total(sums.data(), parts, block, shape, total.data());
  }
  for (int64_t at = 0; at < shape.weights(); ++at) {
    const int64_t c = at % shape.channels, j = at / shape.channels % 3, i = at / shape.channels / 3 % 3,
                  k = at / shape.channels / 9;
    double expected = 0;
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t column = 0; column < width; ++column) {
          const int64_t from_y = y * shape.stride + i - 1, from_x = column * shape.stride + j - 1;
          if (from_y < 0 || from_y >= shape.height || from_x < 0 || from_x >= shape.width) continue;
          expected += wide(x[image * x_size + (from_y * shape.width + from_x) * shape.channels + c]) *
                      wide(dy[image * dy_size + (y * width + column) * shape.filters + k]);
        }
      }
    }
    expect(total[at] == expected, "weight gradient", shape.weights(), at, total[at], expected);
  }
}

}  // namespace

void check_conv() {
  if (!mp::has_bf16_products()) return;
  for (const int64_t stride : {1, 2}) {
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1}, {1, 2}, {2, 1}, {3, 4}, {4, 3}, {5, 7}}) {
      check({16, 16, height, width, stride}, 3, 2);
    }
  }
  check({32, 16, 3, 3, 1}, 2, 1);
  check({16, 48, 3, 3, 2}, 2, 1);
  // A group is one image of this size.
  check({16, 16, 40, 40, 1}, 3, 1);
}
