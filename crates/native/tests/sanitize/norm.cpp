// Batch normalisation against its definition, on numbers of few bits: every product and sum of them is exact in all formats,
// so that no mask stands on the edge and results are equal to the last bit.

#include "../../cpp/norm_kernels.h"

#include "common.h"

namespace {

// Multiples of 1/16 within ±1.
template <typename Number>
Row<Number> coarse(int64_t count, int64_t shift, double phase) {
  Row<Number> row(count, shift);
  for (int64_t k = 0; k < count; ++k) {
    set(row[k], std::round(16 * std::sin(0.7 * static_cast<double>(k) + phase)) / 16);
  }
  return row;
}

// One of 1/4, -1/2 and 1 a channel, or a multiple of 1/8.
template <typename Real>
Row<Real> scales(int64_t channels) {
  Row<Real> row(channels);
  const Real values[] = {Real(0.25), Real(-0.5), Real(1)};
  for (int64_t c = 0; c < channels; ++c) row[c] = values[c % 3];
  return row;
}

template <typename Real>
Row<Real> eighths(int64_t channels, int64_t start) {
  Row<Real> row(channels);
  for (int64_t c = 0; c < channels; ++c) row[c] = static_cast<Real>((c + start) % 7 - 3) / 8;
  return row;
}

template <typename Number>
void same(const Row<Number>& found, int64_t k, double expected, const char* what) {
  expect(wide(found[k]) == expected, what, found.size(), k, wide(found[k]), expected);
}

template <typename Number, typename Real>
void check(int64_t rows, int64_t channels) {
  const int64_t count = rows * channels;
  const auto x = coarse<Number>(count, 1, 0.1), residual = coarse<Number>(count, 2, 0.5),
             dy = coarse<Number>(count, 3, 0.9);
  const auto scale = scales<Real>(channels), offset = eighths<Real>(channels, 0), mean = eighths<Real>(channels, 2),
             slope = scales<Real>(channels), constant = eighths<Real>(channels, 4);
  const auto normed = [&](int64_t k) { return wide(x[k]) * scale[k % channels] + offset[k % channels]; };

  Row<Real> sum(channels), square(channels);
  mp::norm_moments(x.data(), mean.data(), sum.data(), square.data(), rows, channels);
  for (int64_t c = 0; c < channels; ++c) {
    double expected = 0, expected_square = 0;
    for (int64_t k = c; k < count; k += channels) {
      const double value = wide(x[k]) - mean[c];
      expected += value;
      expected_square += value * value;
    }
    same(sum, c, expected, "sum");
    same(square, c, expected_square, "sum of squares");
  }

  for (const bool relu : {false, true}) {
    for (const bool add : {false, true}) {
      Row<Number> y(count);
      mp::norm_apply(x.data(), add ? residual.data() : nullptr, y.data(), scale.data(), offset.data(), relu, rows,
                     channels);
      for (int64_t k = 0; k < count; ++k) {
        const double value = normed(k) + (add ? wide(residual[k]) : 0);
        same(y, k, relu && value < 0 ? 0 : value, "normed");
      }
    }
  }

  const auto y = coarse<Number>(count, 0, 0.7);
  for (const auto mask : {mp::Mask::kNone, mp::Mask::kInput, mp::Mask::kOutput}) {
    const auto passes = [&](int64_t k) {
      return mask == mp::Mask::kNone || (mask == mp::Mask::kInput ? normed(k) : wide(y[k])) > 0;
    };
    Row<Number> masked(mask == mp::Mask::kOutput ? count : 0);
    Row<Real> of_g(channels), product(channels);
    mp::norm_gradient_sums(dy.data(), x.data(), mask == mp::Mask::kOutput ? y.data() : nullptr,
                           mask == mp::Mask::kOutput ? masked.data() : nullptr, scale.data(), offset.data(),
                           mean.data(), mask, of_g.data(), product.data(), rows, channels);
    for (int64_t c = 0; c < channels; ++c) {
      double expected = 0, expected_product = 0;
      for (int64_t k = c; k < count; k += channels) {
        const double g = passes(k) ? wide(dy[k]) : 0;
        expected += g;
        expected_product += g * (wide(x[k]) - mean[c]);
      }
      same(of_g, c, expected, "sum of gradients");
      same(product, c, expected_product, "sum of gradients times numbers");
    }
    for (int64_t k = 0; k < masked.size(); ++k) same(masked, k, passes(k) ? wide(dy[k]) : 0, "masked gradient");

    if (mask != mp::Mask::kOutput) {
      Row<Number> dx(count, 1);
      mp::norm_gradient(dy.data(), x.data(), dx.data(), scale.data(), offset.data(), slope.data(), constant.data(), mask,
                        rows, channels);
      for (int64_t k = 0; k < count; ++k) {
        const int64_t c = k % channels;
        const double g = passes(k) ? wide(dy[k]) : 0;
        same(dx, k, g * scale[c] + (wide(x[k]) * slope[c] + constant[c]), "gradient of a map");
      }
    }
  }
}

}  // namespace

void check_norm() {
  for (const int64_t channels : {1, 3, 15, 16, 17, 32, 47, 64, 113, 130}) {
    for (const int64_t rows : {0, 1, 2, 3, 5, 9}) {
      check<float, float>(rows, channels);
      check<double, double>(rows, channels);
      check<mp::bf16, float>(rows, channels);
    }
  }
}
