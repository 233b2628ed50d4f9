// The loops of gates over one sample: see gate_kernels.h.

#include "gate_kernels.h"

#include "channels.h"
#include "streams.h"

#include <algorithm>
#include <cmath>

namespace mp {
namespace {

template <typename Number, typename Real>
MP_INLINE void sum_rows(const Number* x, Real* sum, int64_t rows, int64_t channels) {
  over_channels<Number, Real>(channels, MP_OVER_CHANNELS {
    Sums<Lane, kBlocks, Real> sums;
    over_rows<sums.kRows>(rows, [&](int64_t row, int slot) __attribute__((always_inline)) {
      for (int k = 0; k < kBlocks; ++k) {
        sums.at[slot][k] += Lane::read(x + row * channels + c + k * Lane::kWidth);
      }
    });
    sums.add_to(sum + c);
  });
}

template <typename Number, typename Real>
MP_INLINE void pool_impl(const Number* x, Real* z, const MapShape& map) {
  std::fill(z, z + map.channels, Real{0});
  if (!map.channels_last) {
    for (int64_t c = 0; c < map.channels; ++c) {
      const Number* plane = x + c * map.pixels;
      Real sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < map.pixels; ++k) sum += load(plane[k]);
      z[c] = sum;
    }
  } else if (by_twos(map.pixels, map.channels)) {
    TwiceSums<Real> sums;
    sum_rows(x, sums.at, map.pixels / 2, kPair);
    sums.add_to(z);
  } else {
    sum_rows(x, z, map.pixels, map.channels);
  }
  const Real share = Real{1} / static_cast<Real>(map.pixels);
  for (int64_t c = 0; c < map.channels; ++c) z[c] *= share;
}

// One value for all numbers of an output.
template <typename Number, typename Real>
struct FromValue {
  const Real* values;
  int64_t stride;

  MP_INLINE Pair<Real> pair(int m, int64_t) const {
    const Vector<Real> value = values[m * stride] - Vector<Real>{};
    return {value, value};
  }
  MP_INLINE Real one(int m, int64_t) const { return values[m * stride]; }
};

// A value for each channel of rows of channels: `period` numbers are whole rows and whole pairs.
template <typename Number, typename Real>
struct FromChannels {
  const Real* values;
  int64_t period;

  MP_INLINE Pair<Real> pair(int m, int64_t k) const { return in_order_of<Number>(values + m * period + k); }
  MP_INLINE Real one(int m, int64_t k) const { return values[m * period + k]; }
};

// Numbers of each path in one block of channels-last maps, about: as many rows as come nearest.
constexpr int64_t kBlock = 512;

template <typename Number, typename Real>
MP_INLINE void mix_gradient_and_add_impl(const Number* const* dy, Number* const* dx, const Real* g, const Real* add,
                                         int sources, int targets, int64_t offset, const MapShape& map) {
  Real back[kMaxPaths * kMaxPaths];
  transpose(g, back, sources, targets);
  if (!map.channels_last) {
    for (int64_t c = 0; c < map.channels; ++c) {
      blend(dy, targets, dx, sources, back, FromValue<Number, Real>{add + c, map.channels}, offset + c * map.pixels,
            map.pixels);
    }
    return;
  }
  // Rows long enough are added as they are; short ones several times over, so that a pair finds its values side by side.
  Real repeated[kMaxPaths * kBlock];
  const int64_t rows = std::max<int64_t>(kBlock / map.channels, 1), period = rows * map.channels;
  for (int i = 0; rows > 1 && i < sources; ++i) {
    for (int64_t row = 0; row < rows; ++row) {
      std::copy(add + i * map.channels, add + (i + 1) * map.channels, repeated + i * period + row * map.channels);
    }
  }
  const FromChannels<Number, Real> start{rows > 1 ? repeated : add, period};
  for (int64_t at = 0; at < map.numbers(); at += period) {
    blend(dy, targets, dx, sources, back, start, offset + at, std::min(period, map.numbers() - at));
  }
}

// y[r] = b[r] + <w[r], x> for `rows` rows of `count` numbers.
template <typename Real>
MP_INLINE void dense(const Real* w, const Real* b, const Real* x, Real* y, int64_t rows, int64_t count) {
  for (int64_t r = 0; r < rows; ++r) {
    Real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < count; ++k) sum += w[r * count + k] * x[k];
    y[r] = b[r] + sum;
  }
}

// dx[k] = sum over the rows of dy[r] w[r][k].
template <typename Real>
MP_INLINE void dense_gradient(const Real* w, const Real* dy, Real* dx, int64_t rows, int64_t count) {
  std::fill(dx, dx + count, Real{0});
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t k = 0; k < count; ++k) dx[k] += dy[r] * w[r * count + k];
  }
}

// Weights of `count` logits that lie `stride` apart and compete with each other.
template <typename Real>
MP_INLINE void softmax(const Real* logits, Real* weights, int count, int stride) {
  Real largest = logits[0];
  for (int k = 1; k < count; ++k) largest = std::max(largest, logits[k * stride]);
  Real sum = 0;
  for (int k = 0; k < count; ++k) {
    weights[k * stride] = std::exp(logits[k * stride] - largest);
    sum += weights[k * stride];
  }
  for (int k = 0; k < count; ++k) weights[k * stride] /= sum;
}

template <typename Real>
MP_INLINE void softmax_gradient(const Real* weights, const Real* dweights, Real* dlogits, int count, int stride) {
  Real mean = 0;
  for (int k = 0; k < count; ++k) mean += weights[k * stride] * dweights[k * stride];
  for (int k = 0; k < count; ++k) dlogits[k * stride] = weights[k * stride] * (dweights[k * stride] - mean);
}

template <typename Real>
MP_INLINE void gate_impl(const Gates<Real>& gates, const Real* z, Real* hidden, Real* logits, Real* weights) {
  const auto [weight1, bias1, weight2, bias2, sources, targets, channels, width, temperature, normalisation] = gates;
  for (int i = 0; i < sources; ++i) {
    Real* h = hidden + i * width;
    dense(weight1 + i * width * channels, bias1 + i * width, z + i * channels, h, width, channels);
    for (int64_t k = 0; k < width; ++k) h[k] = h[k] < Real{0} ? Real{0} : h[k];
    Real* a = logits + i * targets;
    dense(weight2 + i * targets * width, bias2 + i * targets, h, a, targets, width);
    for (int j = 0; j < targets; ++j) a[j] /= temperature;
  }
  switch (normalisation) {
    case Normalisation::kTargets:
      for (int i = 0; i < sources; ++i) softmax(logits + i * targets, weights + i * targets, targets, 1);
      return;
    case Normalisation::kSources:
      for (int j = 0; j < targets; ++j) softmax(logits + j, weights + j, sources, targets);
      return;
    case Normalisation::kSigmoid:
      for (int k = 0; k < sources * targets; ++k) weights[k] = Real{1} / (Real{1} + std::exp(-logits[k]));
      return;
  }
}

template <typename Real>
MP_INLINE void gate_gradients_impl(const Gates<Real>& gates, const Real* hidden, const Real* weights,
                                   const Real* dweights, const Real* dlogits, Real* da, Real* dhidden, Real* dz) {
  const auto [weight1, bias1, weight2, bias2, sources, targets, channels, width, temperature, normalisation] = gates;
  switch (normalisation) {
    case Normalisation::kTargets:
      for (int i = 0; i < sources; ++i) {
        const int64_t at = i * targets;
        softmax_gradient(weights + at, dweights + at, da + at, targets, 1);
      }
      break;
    case Normalisation::kSources:
      for (int j = 0; j < targets; ++j) softmax_gradient(weights + j, dweights + j, da + j, sources, targets);
      break;
    case Normalisation::kSigmoid:
      for (int k = 0; k < sources * targets; ++k) da[k] = dweights[k] * weights[k] * (Real{1} - weights[k]);
      break;
  }
  for (int k = 0; k < sources * targets; ++k) da[k] = (da[k] + dlogits[k]) / temperature;
  for (int i = 0; i < sources; ++i) {
    Real* dh = dhidden + i * width;
    dense_gradient(weight2 + i * targets * width, da + i * targets, dh, targets, width);
    for (int64_t k = 0; k < width; ++k) dh[k] = hidden[i * width + k] > Real{0} ? dh[k] : Real{0};
    dense_gradient(weight1 + i * width * channels, dh, dz + i * channels, width, channels);
  }
}

}  // namespace

#define MP_GATE_KERNELS(Number, Real)                                                                                 \
  MP_CLONES void pool(const Number* x, Real* z, const MapShape& map) { pool_impl(x, z, map); }                        \
  MP_CLONES void mix_gradient_and_add(const Number* const* dy, Number* const* dx, const Real* g, const Real* add,     \
                                      int sources, int targets, int64_t offset, const MapShape& map) {                \
    mix_gradient_and_add_impl(dy, dx, g, add, sources, targets, offset, map);                                         \
  }

MP_GATE_KERNELS(float, float)
MP_GATE_KERNELS(double, double)
MP_GATE_KERNELS(bf16, float)

#define MP_GATE_LAYERS(Real)                                                                                          \
  MP_CLONES void gate(const Gates<Real>& gates, const Real* z, Real* hidden, Real* logits, Real* weights) {           \
    gate_impl(gates, z, hidden, logits, weights);                                                                     \
  }                                                                                                                   \
  MP_CLONES void gate_gradients(const Gates<Real>& gates, const Real* hidden, const Real* weights,                    \
                                const Real* dweights, const Real* dlogits, Real* da, Real* dhidden, Real* dz) {       \
    gate_gradients_impl(gates, hidden, weights, dweights, dlogits, da, dhidden, dz);                                  \
  }

MP_GATE_LAYERS(float)
MP_GATE_LAYERS(double)

}  // namespace mp
