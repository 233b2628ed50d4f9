// The loops of batch normalisation: see norm_kernels.h.

#include "norm_kernels.h"

#include "channels.h"

namespace mp {
namespace {

template <typename Number, typename Real>
MP_INLINE void moments_of_rows(const Number* x, const Real* shift, Real* sum, Real* square, int64_t rows,
                               int64_t channels) {
  over_channels<Number, Real>(channels, MP_OVER_CHANNELS {
    const PerChannel<Lane, kBlocks, Real> from(shift + c);
    Sums<Lane, kBlocks, Real> sums, squares;
    over_rows<sums.kRows>(rows, [&](int64_t row, int slot) __attribute__((always_inline)) {
      for (int k = 0; k < kBlocks; ++k) {
        const auto value = Lane::read(x + row * channels + c + k * Lane::kWidth) - from.at[k];
        sums.at[slot][k] += value;
        squares.at[slot][k] += value * value;
      }
    });
    sums.add_to(sum + c);
    squares.add_to(square + c);
  });
}

template <typename Number, typename Real>
MP_INLINE void moments_impl(const Number* x, const Real* shift, Real* sum, Real* square, int64_t rows,
                            int64_t channels) {
  if (!by_twos(rows, channels)) return moments_of_rows(x, shift, sum, square, rows, channels);
  TwiceSums<Real> sums, squares;
  moments_of_rows(x, Twice(shift).at, sums.at, squares.at, rows / 2, kPair);
  sums.add_to(sum);
  squares.add_to(square);
}

template <bool kResidual, bool kRelu, typename Number, typename Real>
MP_INLINE void apply_to_rows(const Number* x, const Number* residual, Number* y, const Real* scale, const Real* offset,
                             int64_t rows, int64_t channels) {
  over_channels<Number, Real>(channels, MP_OVER_CHANNELS {
    const PerChannel<Lane, kBlocks, Real> a(scale + c), b(offset + c);
    for (int64_t row = 0; row < rows; ++row) {
      for (int k = 0; k < kBlocks; ++k) {
        const int64_t at = row * channels + c + k * Lane::kWidth;
        auto value = Lane::read(x + at) * a.at[k] + b.at[k];
        if constexpr (kResidual) value += Lane::read(residual + at);
        if constexpr (kRelu) value = relu(value);
        Lane::write(value, y + at);
      }
    }
  });
}

template <bool kResidual, bool kRelu, typename Number, typename Real>
MP_INLINE void apply_impl(const Number* x, const Number* residual, Number* y, const Real* scale, const Real* offset,
                          int64_t rows, int64_t channels) {
  if (!by_twos(rows, channels)) {
    return apply_to_rows<kResidual, kRelu>(x, residual, y, scale, offset, rows, channels);
  }
  apply_to_rows<kResidual, kRelu>(x, residual, y, Twice(scale).at, Twice(offset).at, rows / 2, kPair);
}

template <Mask kMask, typename Number, typename Real>
MP_INLINE void gradient_sums_of_rows(const Number* dy, const Number* x, const Number* y, Number* masked,
                                     const Real* scale, const Real* offset, const Real* mean, Real* sum, Real* product,
                                     int64_t rows, int64_t channels) {
  over_channels<Number, Real>(channels, MP_OVER_CHANNELS {
    const PerChannel<Lane, kBlocks, Real> a(scale + c), b(offset + c), middle(mean + c);
    Sums<Lane, kBlocks, Real> sums, products;
    over_rows<sums.kRows>(rows, [&](int64_t row, int slot) __attribute__((always_inline)) {
      for (int k = 0; k < kBlocks; ++k) {
        const int64_t at = row * channels + c + k * Lane::kWidth;
        const auto value = Lane::read(x + at);
        auto g = Lane::read(dy + at);
        if constexpr (kMask == Mask::kInput) g = where_positive(value * a.at[k] + b.at[k], g);
        if constexpr (kMask == Mask::kOutput) {
          g = where_positive(Lane::read(y + at), g);
          Lane::write(g, masked + at);
        }
        sums.at[slot][k] += g;
        products.at[slot][k] += g * (value - middle.at[k]);
      }
    });
    sums.add_to(sum + c);
    products.add_to(product + c);
  });
}

template <Mask kMask, typename Number, typename Real>
MP_INLINE void gradient_sums_impl(const Number* dy, const Number* x, const Number* y, Number* masked, const Real* scale,
                                  const Real* offset, const Real* mean, Real* sum, Real* product, int64_t rows,
                                  int64_t channels) {
  if (!by_twos(rows, channels)) {
    return gradient_sums_of_rows<kMask>(dy, x, y, masked, scale, offset, mean, sum, product, rows, channels);
  }
  TwiceSums<Real> sums, products;
  gradient_sums_of_rows<kMask>(dy, x, y, masked, Twice(scale).at, Twice(offset).at, Twice(mean).at, sums.at, products.at,
                               rows / 2, kPair);
  sums.add_to(sum);
  products.add_to(product);
}

template <Mask kMask, typename Number, typename Real>
MP_INLINE void gradient_of_rows(const Number* dy, const Number* x, Number* dx, const Real* scale, const Real* offset,
                                const Real* slope, const Real* constant, int64_t rows, int64_t channels) {
  over_channels<Number, Real>(channels, MP_OVER_CHANNELS {
    const PerChannel<Lane, kBlocks, Real> a(scale + c), b(offset + c), m(slope + c), n(constant + c);
    for (int64_t row = 0; row < rows; ++row) {
      for (int k = 0; k < kBlocks; ++k) {
        const int64_t at = row * channels + c + k * Lane::kWidth;
        const auto value = Lane::read(x + at);
        auto g = Lane::read(dy + at);
        if constexpr (kMask == Mask::kInput) g = where_positive(value * a.at[k] + b.at[k], g);
        Lane::write(g * a.at[k] + (value * m.at[k] + n.at[k]), dx + at);
      }
    }
  });
}

template <Mask kMask, typename Number, typename Real>
MP_INLINE void gradient_impl(const Number* dy, const Number* x, Number* dx, const Real* scale, const Real* offset,
                             const Real* slope, const Real* constant, int64_t rows, int64_t channels) {
  if (!by_twos(rows, channels)) {
    return gradient_of_rows<kMask>(dy, x, dx, scale, offset, slope, constant, rows, channels);
  }
  gradient_of_rows<kMask>(dy, x, dx, Twice(scale).at, Twice(offset).at, Twice(slope).at, Twice(constant).at, rows / 2,
                          kPair);
}

}  // namespace

#define MP_NORM_KERNELS(Number, Real)                                                                                  \
  MP_CLONES void norm_moments(const Number* x, const Real* shift, Real* sum, Real* square, int64_t rows,               \
                              int64_t channels) {                                                                      \
    moments_impl(x, shift, sum, square, rows, channels);                                                               \
  }                                                                                                                    \
  MP_CLONES void norm_apply(const Number* x, const Number* residual, Number* y, const Real* scale, const Real* offset, \
                            bool relu, int64_t rows, int64_t channels) {                                               \
    if (residual != nullptr) {                                                                                         \
      relu ? apply_impl<true, true>(x, residual, y, scale, offset, rows, channels)                                     \
           : apply_impl<true, false>(x, residual, y, scale, offset, rows, channels);                                   \
    } else {                                                                                                           \
      relu ? apply_impl<false, true>(x, residual, y, scale, offset, rows, channels)                                    \
           : apply_impl<false, false>(x, residual, y, scale, offset, rows, channels);                                  \
    }                                                                                                                  \
  }                                                                                                                    \
  MP_CLONES void norm_gradient_sums(const Number* dy, const Number* x, const Number* y, Number* masked,                \
                                    const Real* scale, const Real* offset, const Real* mean, Mask mask, Real* sum,     \
                                    Real* product, int64_t rows, int64_t channels) {                                   \
    switch (mask) {                                                                                                    \
      case Mask::kNone:                                                                                                \
        return gradient_sums_impl<Mask::kNone>(dy, x, y, masked, scale, offset, mean, sum, product, rows, channels);   \
      case Mask::kInput:                                                                                               \
        return gradient_sums_impl<Mask::kInput>(dy, x, y, masked, scale, offset, mean, sum, product, rows, channels);  \
      case Mask::kOutput:                                                                                              \
        return gradient_sums_impl<Mask::kOutput>(dy, x, y, masked, scale, offset, mean, sum, product, rows, channels); \
    }                                                                                                                  \
  }                                                                                                                    \
  MP_CLONES void norm_gradient(const Number* dy, const Number* x, Number* dx, const Real* scale, const Real* offset,   \
                               const Real* slope, const Real* constant, Mask mask, int64_t rows, int64_t channels) {   \
    mask == Mask::kInput                                                                                               \
        ? gradient_impl<Mask::kInput>(dy, x, dx, scale, offset, slope, constant, rows, channels)                       \
        : gradient_impl<Mask::kNone>(dy, x, dx, scale, offset, slope, constant, rows, channels);                       \
  }

MP_NORM_KERNELS(float, float)
MP_NORM_KERNELS(double, double)
MP_NORM_KERNELS(bf16, float)

}  // namespace mp
