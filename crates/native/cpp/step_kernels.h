// The loops over numbers of the optimisers, free of libtorch.
//
// Compiled without contraction to fused multiply-adds: every operation rounds once, as IEEE 754 says, so that a step has
// the same bits on every CPU, whatever its vectors, and however a tensor is cut into tiles.

#pragma once

#include <cstdint>

namespace mp {

// Constants of a step of stochastic gradient descent, in the parameters' own type.
template <typename Number>
struct Sgd {
  Number rate;
  Number momentum;
  Number decay;
  bool nesterov;
};

// g += decay p, v = momentum v + g, p -= rate d; d is v, for Nesterov g + momentum v, and g where `v` is null.
void sgd_step(float* p, const float* g, float* v, const Sgd<float>& rule, int64_t count);
void sgd_step(double* p, const double* g, double* v, const Sgd<double>& rule, int64_t count);

// Constants of a step of AdamW, in the parameters' own type.
template <typename Number>
struct AdamW {
  Number keep;          // what decay leaves of a parameter
  Number mean_share;    // of the new gradient in the mean
  Number square_keep;   // of the mean square before
  Number square_share;  // of the new square
  Number square_scale;  // from the root of the mean square to the unbiased one
  Number eps;
  Number mean_rate;     // learning rate over what the mean lacks at its start
};

// p *= keep, m += mean_share (g - m), s = square_keep s + square_share g², p -= mean_rate m / (square_scale √s + eps).
void adamw_step(float* p, const float* g, float* m, float* s, const AdamW<float>& rule, int64_t count);
void adamw_step(double* p, const double* g, double* m, double* s, const AdamW<double>& rule, int64_t count);

// The sum of x², in float64.
double sum_of_squares(const float* x, int64_t count);
double sum_of_squares(const double* x, int64_t count);

// x *= factor.
void scale(float* x, float factor, int64_t count);
void scale(double* x, double factor, int64_t count);

}  // namespace mp
