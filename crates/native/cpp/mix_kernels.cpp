// The loops over numbers: see mix_kernels.h.

#include "mix_kernels.h"

#include <algorithm>

namespace mp {
namespace {

// Numbers of each path in one block. All sources and targets of a block, 16 at most, stay within 32 KiB.
constexpr int64_t kBlock = 512;

// out[k] = sum_n w[n] in[n][k] over N streams.
template <int N, typename Number, typename Weight>
MP_INLINE void combine(const Number* const* in, const Weight* w, Number* out, int64_t count) {
#pragma omp simd
  for (int64_t k = 0; k < count; ++k) {
    Weight sum = w[0] * load(in[0][k]);
    for (int n = 1; n < N; ++n) {
      sum += w[n] * load(in[n][k]);
    }
    store(sum, out[k]);
  }
}

template <typename Number, typename Weight>
MP_INLINE void combine(int streams, const Number* const* in, const Weight* w, Number* out, int64_t count) {
  switch (streams) {
    case 1: return combine<1>(in, w, out, count);
    case 2: return combine<2>(in, w, out, count);
    case 3: return combine<3>(in, w, out, count);
    case 4: return combine<4>(in, w, out, count);
    case 5: return combine<5>(in, w, out, count);
    case 6: return combine<6>(in, w, out, count);
    case 7: return combine<7>(in, w, out, count);
    default: return combine<8>(in, w, out, count);
  }
}

// Inner products of one stream with N others.
template <int N, typename Number, typename Weight>
MP_INLINE void inner(const Number* a, const Number* const* others, Weight* sums, int64_t count) {
  for (int n = 0; n < N; ++n) {
    const Number* b = others[n];
    Weight sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < count; ++k) {
      sum += load(a[k]) * load(b[k]);
    }
    sums[n] += sum;
  }
}

template <typename Number, typename Weight>
MP_INLINE void inner(int streams, const Number* a, const Number* const* others, Weight* sums, int64_t count) {
  switch (streams) {
    case 1: return inner<1>(a, others, sums, count);
    case 2: return inner<2>(a, others, sums, count);
    case 3: return inner<3>(a, others, sums, count);
    case 4: return inner<4>(a, others, sums, count);
    case 5: return inner<5>(a, others, sums, count);
    case 6: return inner<6>(a, others, sums, count);
    case 7: return inner<7>(a, others, sums, count);
    default: return inner<8>(a, others, sums, count);
  }
}

template <typename Number, typename Weight>
MP_INLINE void mix_impl(const Number* const* x, Number* const* y, const Weight* g, int sources, int targets,
                        int64_t offset, int64_t count) {
  for (int64_t at = 0; at < count; at += kBlock) {
    const int64_t here = std::min(kBlock, count - at);
    const Number* in[kMaxPaths];
    for (int i = 0; i < sources; ++i) {
      in[i] = x[i] + offset + at;
    }
    for (int j = 0; j < targets; ++j) {
      Weight w[kMaxPaths];
      for (int i = 0; i < sources; ++i) {
        w[i] = g[i * targets + j];
      }
      combine(sources, in, w, y[j] + offset + at, here);
    }
  }
}

template <typename Number, typename Weight>
MP_INLINE void gradients_impl(const Number* const* x, const Number* const* dy, Number* const* dx, const Weight* g,
                              Weight* dg, int sources, int targets, int64_t offset, int64_t count) {
  std::fill(dg, dg + sources * targets, Weight{0});
  for (int64_t at = 0; at < count; at += kBlock) {
    const int64_t here = std::min(kBlock, count - at);
    const Number* from[kMaxPaths];
    for (int j = 0; j < targets; ++j) {
      from[j] = dy[j] + offset + at;
    }
    for (int i = 0; i < sources; ++i) {
      combine(targets, from, g + i * targets, dx[i] + offset + at, here);
      inner(targets, x[i] + offset + at, from, dg + i * targets, here);
    }
  }
}

template <typename Number, typename Weight>
MP_INLINE void products_impl(const Number* const* x, const Number* const* dy, Weight* dg, int sources, int targets,
                             int64_t offset, int64_t count) {
  std::fill(dg, dg + sources * targets, Weight{0});
  for (int64_t at = 0; at < count; at += kBlock) {
    const int64_t here = std::min(kBlock, count - at);
    const Number* from[kMaxPaths];
    for (int j = 0; j < targets; ++j) {
      from[j] = dy[j] + offset + at;
    }
    for (int i = 0; i < sources; ++i) {
      inner(targets, x[i] + offset + at, from, dg + i * targets, here);
    }
  }
}

}  // namespace

#define MP_KERNELS(Number, Weight)                                                                                   \
  MP_CLONES void mix_sample(const Number* const* x, Number* const* y, const Weight* g, int sources, int targets,     \
                            int64_t offset, int64_t count) {                                                         \
    mix_impl(x, y, g, sources, targets, offset, count);                                                              \
  }                                                                                                                  \
  MP_CLONES void mix_sample_gradients(const Number* const* x, const Number* const* dy, Number* const* dx,            \
                                      const Weight* g, Weight* dg, int sources, int targets, int64_t offset,         \
                                      int64_t count) {                                                               \
    gradients_impl(x, dy, dx, g, dg, sources, targets, offset, count);                                               \
  }                                                                                                                  \
  MP_CLONES void mix_sample_products(const Number* const* x, const Number* const* dy, Weight* dg, int sources,       \
                                     int targets, int64_t offset, int64_t count) {                                   \
    products_impl(x, dy, dg, sources, targets, offset, count);                                                       \
  }

MP_KERNELS(float, float)
MP_KERNELS(double, double)
MP_KERNELS(bf16, float)

}  // namespace mp
