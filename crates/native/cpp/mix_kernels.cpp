// The loops over numbers: see mix_kernels.h.

#include "mix_kernels.h"

#include "streams.h"

#include <algorithm>

namespace mp {
namespace {

// Numbers of each path in one block: all gradients of a block stay in the first-level cache.
constexpr int64_t kBlock = 512;

template <typename Number, typename Weight>
MP_INLINE void mix_impl(const Number* const* x, Number* const* y, const Weight* g, int sources, int targets,
                        int64_t offset, int64_t count) {
  blend(x, sources, y, targets, g, FromZero<Number, Weight>{}, offset, count);
}

template <typename Number, typename Weight>
MP_INLINE void products_impl(const Number* const* x, const Number* const* dy, Weight* dg, int sources, int targets,
                             int64_t offset, int64_t count) {
  std::fill(dg, dg + sources * targets, Weight{0});
  inner_products(x, sources, dy, targets, dg, offset, count);
}

template <typename Number, typename Weight>
MP_INLINE void gradients_impl(const Number* const* x, const Number* const* dy, Number* const* dx, const Weight* g,
                              Weight* dg, int sources, int targets, int64_t offset, int64_t count) {
  std::fill(dg, dg + sources * targets, Weight{0});
  Weight back[kMaxPaths * kMaxPaths];
  transpose(g, back, sources, targets);
  for (int64_t at = 0; at < count; at += kBlock) {
    const int64_t here = std::min(kBlock, count - at);
    blend(dy, targets, dx, sources, back, FromZero<Number, Weight>{}, offset + at, here);
    inner_products(x, sources, dy, targets, dg, offset + at, here);
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
