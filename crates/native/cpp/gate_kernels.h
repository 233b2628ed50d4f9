// The loops of gates over one sample: pooling, two dense layers, normalisation, and the gradients of each. Free of
// libtorch. `Real` is float for float and bf16 numbers, double for double.

#pragma once

#include "mix_kernels.h"

namespace mp {

// How logits become weights.
enum class Normalisation {
  kTargets,  // softmax over the targets of each source
  kSources,  // softmax over the sources of each target
  kSigmoid,
};

// The map of one sample.
struct MapShape {
  int64_t channels;
  int64_t pixels;
  bool channels_last;

  int64_t numbers() const { return channels * pixels; }
};

// The dense layers of the gates of all sources: weight1 [S, hidden, C], bias1 [S, hidden], weight2 [S, T, hidden], bias2
// [S, T].
template <typename Real>
struct Gates {
  const Real* weight1;
  const Real* bias1;
  const Real* weight2;
  const Real* bias2;
  int sources;
  int targets;
  int64_t channels;
  int64_t hidden;
  Real temperature;
  Normalisation normalisation;
};

#define MP_GATE_DECLARATIONS(Number, Real)                                                                     \
  /* z[c] = mean over the pixels of x. */                                                                      \
  void pool(const Number* x, Real* z, const MapShape& map);                                                    \
  /* dx_i = sum_j g_ij dy_j + add_i[c] over one sample; `add` is [S, C]. */                                    \
  void mix_gradient_and_add(const Number* const* dy, Number* const* dx, const Real* g, const Real* add,        \
                            int sources, int targets, int64_t offset, const MapShape& map);

MP_GATE_DECLARATIONS(float, float)
MP_GATE_DECLARATIONS(double, double)
MP_GATE_DECLARATIONS(bf16, float)

#undef MP_GATE_DECLARATIONS

#define MP_GATE_DECLARATIONS(Real)                                                                             \
  /* Pooled features z [S, C] to hidden [S, hidden], logits over the temperature [S, T] and weights [S, T]. */ \
  void gate(const Gates<Real>& gates, const Real* z, Real* hidden, Real* logits, Real* weights);               \
  /* The gradients dweights and dlogits [S, T] back to the layers' outputs before the temperature, da [S, T],  \
   * before the ReLU, dhidden [S, hidden], and to the pooled features, dz [S, C]. */                           \
  void gate_gradients(const Gates<Real>& gates, const Real* hidden, const Real* weights, const Real* dweights, \
                      const Real* dlogits, Real* da, Real* dhidden, Real* dz);

MP_GATE_DECLARATIONS(float)
MP_GATE_DECLARATIONS(double)

#undef MP_GATE_DECLARATIONS

}  // namespace mp
