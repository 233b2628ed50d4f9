// The loops over numbers of the optimisers: see step_kernels.h.

#include "step_kernels.h"

#include "vector.h"

#include <cmath>

namespace mp {
namespace {

template <bool momentum, bool nesterov, typename Number>
MP_INLINE void sgd_loop(Number* p, const Number* g, Number* v, const Sgd<Number>& rule, int64_t count) {
#pragma omp simd
  for (int64_t k = 0; k < count; ++k) {
    const Number gradient = g[k] + p[k] * rule.decay;
    Number direction = gradient;
    if constexpr (momentum) {
      const Number velocity = v[k] * rule.momentum + gradient;
      v[k] = velocity;
      direction = nesterov ? gradient + velocity * rule.momentum : velocity;
    }
    p[k] -= direction * rule.rate;
  }
}

template <typename Number>
MP_INLINE void sgd_impl(Number* p, const Number* g, Number* v, const Sgd<Number>& rule, int64_t count) {
  if (v == nullptr) {
    sgd_loop<false, false>(p, g, v, rule, count);
  } else if (rule.nesterov) {
    sgd_loop<true, true>(p, g, v, rule, count);
  } else {
    sgd_loop<true, false>(p, g, v, rule, count);
  }
}

template <typename Number>
MP_INLINE void adamw_impl(Number* p, const Number* g, Number* m, Number* s, const AdamW<Number>& rule, int64_t count) {
#pragma omp simd
  for (int64_t k = 0; k < count; ++k) {
    const Number mean = m[k] + rule.mean_share * (g[k] - m[k]);
    const Number square = s[k] * rule.square_keep + g[k] * g[k] * rule.square_share;
    m[k] = mean;
    s[k] = square;
    p[k] = p[k] * rule.keep - mean / (std::sqrt(square) * rule.square_scale + rule.eps) * rule.mean_rate;
  }
}

template <typename Number>
MP_INLINE double squares_impl(const Number* x, int64_t count) {
  // Kept apart, in an order that no vector width changes.
  double sums[kLanes] = {};
  int64_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const double value = x[at + lane];
      sums[lane] += value * value;
    }
  }
  for (int lane = 0; at < count; ++at, ++lane) {
    const double value = x[at];
    sums[lane] += value * value;
  }
  double total = 0;
  for (const double sum : sums) {
    total += sum;
  }
  return total;
}

template <typename Number>
MP_INLINE void scale_impl(Number* x, Number factor, int64_t count) {
#pragma omp simd
  for (int64_t k = 0; k < count; ++k) {
    x[k] *= factor;
  }
}

}  // namespace

#define MP_STEP_KERNELS(Number)                                                                                      \
  MP_CLONES void sgd_step(Number* p, const Number* g, Number* v, const Sgd<Number>& rule, int64_t count) {           \
    sgd_impl(p, g, v, rule, count);                                                                                  \
  }                                                                                                                  \
  MP_CLONES void adamw_step(Number* p, const Number* g, Number* m, Number* s, const AdamW<Number>& rule,             \
                            int64_t count) {                                                                         \
    adamw_impl(p, g, m, s, rule, count);                                                                             \
  }                                                                                                                  \
  MP_CLONES double sum_of_squares(const Number* x, int64_t count) { return squares_impl(x, count); }                 \
  MP_CLONES void scale(Number* x, Number factor, int64_t count) { scale_impl(x, factor, count); }

MP_STEP_KERNELS(float)
MP_STEP_KERNELS(double)

}  // namespace mp
