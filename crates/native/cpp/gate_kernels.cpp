// The loops of gates over one sample: see gate_kernels.h.

#include "gate_kernels.h"

#include "channels.h"

#include <algorithm>
#include <cmath>

namespace mp {
namespace {

template <typename Number, typename Real>
MP_INLINE void pool_impl(const Number* x, Real* z, const MapShape& map) {
  const Real share = Real{1} / static_cast<Real>(map.pixels);
  if (!map.channels_last) {
    for (int64_t c = 0; c < map.channels; ++c) {
      const Number* plane = x + c * map.pixels;
      Real sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < map.pixels; ++k) sum += load(plane[k]);
      z[c] = sum * share;
    }
    return;
  }
  over_channels(map.channels, MP_OVER_CHANNELS {
    Sums<Lane, kBlocks, Real> sums;
    over_rows<sums.kRows>(map.pixels, [&](int64_t row, int slot) __attribute__((always_inline)) {
      for (int k = 0; k < kBlocks; ++k) {
        sums.at[slot][k] += Lane::read(x + row * map.channels + c + k * Lane::kWidth);
      }
    });
    std::fill(z + c, z + c + kBlocks * Lane::kWidth, Real{0});
    sums.add_to(z + c);
    for (int64_t at = c; at < c + kBlocks * Lane::kWidth; ++at) z[at] *= share;
  });
}

// to[k] = sum_n w[n] from[n][k] + add over a plane.
template <int N, typename Number, typename Real>
MP_INLINE void combine_plane(const Number* const* from, const Real* w, Real add, Number* to, int64_t count) {
#pragma omp simd
  for (int64_t k = 0; k < count; ++k) {
    Real sum = add;
    for (int n = 0; n < N; ++n) sum += w[n] * load(from[n][k]);
    store(sum, to[k]);
  }
}

// The same over rows of channels with an `add` for each channel.
template <int N, typename Number, typename Real>
MP_INLINE void combine_rows(const Number* const* from, const Real* w, const Real* add, Number* to, int64_t rows,
                            int64_t channels) {
  over_channels(channels, MP_OVER_CHANNELS {
    const PerChannel<Lane, kBlocks, Real> start(add + c);
    for (int64_t row = 0; row < rows; ++row) {
      for (int k = 0; k < kBlocks; ++k) {
        const int64_t at = row * channels + c + k * Lane::kWidth;
        auto sum = start.at[k];
        for (int n = 0; n < N; ++n) sum += w[n] * Lane::read(from[n] + at);
        Lane::write(sum, to + at);
      }
    }
  });
}

template <int N, typename Number, typename Real>
MP_INLINE void gradient_and_add(const Number* const* dy, Number* const* dx, const Real* g, const Real* add, int sources,
                                int64_t offset, const MapShape& map) {
  // A block of rows (or of a plane) of all gradients stays in the first-level cache while every source's is made of it.
  const int64_t rows = map.channels_last ? std::max<int64_t>(512 / map.channels, 1) : map.pixels;
  if (!map.channels_last) {
    for (int64_t c = 0; c < map.channels; ++c) {
      const int64_t at = offset + c * map.pixels;
      const Number* from[N];
      for (int j = 0; j < N; ++j) from[j] = dy[j] + at;
      for (int i = 0; i < sources; ++i) {
        combine_plane<N>(from, g + i * N, add[i * map.channels + c], dx[i] + at, map.pixels);
      }
    }
    return;
  }
  for (int64_t row = 0; row < map.pixels; row += rows) {
    const int64_t at = offset + row * map.channels;
    const Number* from[N];
    for (int j = 0; j < N; ++j) from[j] = dy[j] + at;
    for (int i = 0; i < sources; ++i) {
      combine_rows<N>(from, g + i * N, add + i * map.channels, dx[i] + at, std::min(rows, map.pixels - row),
                      map.channels);
    }
  }
}

template <typename Number, typename Real>
MP_INLINE void mix_gradient_and_add_impl(const Number* const* dy, Number* const* dx, const Real* g, const Real* add,
                                         int sources, int targets, int64_t offset, const MapShape& map) {
  switch (targets) {
    case 1: return gradient_and_add<1>(dy, dx, g, add, sources, offset, map);
    case 2: return gradient_and_add<2>(dy, dx, g, add, sources, offset, map);
    case 3: return gradient_and_add<3>(dy, dx, g, add, sources, offset, map);
    case 4: return gradient_and_add<4>(dy, dx, g, add, sources, offset, map);
    case 5: return gradient_and_add<5>(dy, dx, g, add, sources, offset, map);
    case 6: return gradient_and_add<6>(dy, dx, g, add, sources, offset, map);
    case 7: return gradient_and_add<7>(dy, dx, g, add, sources, offset, map);
    default: return gradient_and_add<8>(dy, dx, g, add, sources, offset, map);
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
