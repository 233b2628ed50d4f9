// A convolution for inference against its definition, on numbers of few bits: sums of their products are exact, so that results
// are equal to the last bit, in whatever parts they are computed.

#include "../../cpp/direct_conv.h"

#include "common.h"

namespace {

Row<float> coarse(int64_t count, double phase) {
  Row<float> row(count, 1);
  for (int64_t k = 0; k < count; ++k) {
    set(row[k], std::round(16 * std::sin(0.7 * static_cast<double>(k) + phase)) / 16);
  }
  return row;
}

void check(const mp::DirectShape& shape, int64_t images, int64_t parts) {
  const mp::DirectPlan plan(shape);
  const int64_t place = shape.size[0] * shape.size[1] * shape.channels;
  const int64_t depth = shape.kernel[0] * shape.kernel[1] * shape.channels;
  const int64_t whole = (shape.filters + mp::kLanes - 1) / mp::kLanes * mp::kLanes;
  const int64_t results = images * shape.out(0) * shape.out(1) * shape.filters;
  const auto x = coarse(images * place, 0.1), weights = coarse(shape.filters * depth, 0.5), offset = coarse(whole, 0.9),
             residual = coarse(results, 0.2);
  Row<float> packed(plan.packed_size()), padded(images * plan.padded_size()), y(results, 1);
  plan.pack(weights.data(), packed.data());
  if (plan.padded_size() > 0) {
    for (int64_t image = 0; image < images; ++image) {
      plan.pad(x.data() + image * place, padded.data() + image * plan.padded_size());
    }
  }
  const int64_t units = plan.units(images);
  for (int64_t part = 0; part < parts; ++part) {
    plan.run(plan.padded_size() > 0 ? padded.data() : x.data(), images, packed.data(), offset.data(), residual.data(), true,
             y.data(), part * units / parts, (part + 1) * units / parts);
  }
  for (int64_t at = 0; at < results; ++at) {
    const int64_t filter = at % shape.filters, column = at / shape.filters % shape.out(1),
                  row = at / shape.filters / shape.out(1) % shape.out(0),
                  image = at / shape.filters / shape.out(1) / shape.out(0);
    double expected = offset[filter] + residual[at];
    for (int64_t k = 0; k < depth; ++k) {
      const int64_t c = k % shape.channels, j = k / shape.channels % shape.kernel[1],
                    i = k / shape.channels / shape.kernel[1];
      const int64_t from_y = row * shape.stride[0] + i - shape.padding[0],
                    from_x = column * shape.stride[1] + j - shape.padding[1];
      if (from_y < 0 || from_y >= shape.size[0] || from_x < 0 || from_x >= shape.size[1]) continue;
      expected += wide(x[image * place + (from_y * shape.size[1] + from_x) * shape.channels + c]) *
                  wide(weights[filter * depth + k]);
    }
    expected = expected < 0 ? 0 : expected;
    expect(y[at] == expected, "convolution", results, at, y[at], expected);
  }
}

}  // namespace

void check_direct_conv() {
  if (!mp::DirectPlan::supported()) return;
  // One to nine vectors of filters, whole and not.
  for (const int64_t filters : {1, 16, 20, 32, 48, 56, 64, 80, 112, 130}) check({16, filters, {5, 7}, {3, 3}, {1, 1}, {1, 1}}, 2, 3);
  // Few channels, which are copied; rows and columns of a kernel; steps; maps smaller than the kernel.
  for (const int64_t channels : {1, 3, 8, 9}) {
    check({channels, 24, {9, 6}, {7, 7}, {2, 2}, {3, 3}}, 2, 2);
    check({channels, 16, {4, 5}, {1, 3}, {1, 2}, {0, 1}}, 1, 1);
    check({channels, 40, {2, 2}, {3, 3}, {1, 1}, {1, 1}}, 3, 2);
    check({channels, 64, {6, 6}, {1, 1}, {2, 1}, {0, 0}}, 1, 5);
  }
  // More parts than there is work, and input that is taken in several chunks.
  check({8, 16, {1, 1}, {1, 1}, {1, 1}, {0, 0}}, 1, 4);
  check({64, 20, {24, 24}, {1, 1}, {1, 1}, {0, 0}}, 1, 2);
}
