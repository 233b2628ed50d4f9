// Steps of optimisers by libtorch's operations over lists of tensors: a handful of launches on a GPU, where operations on one
// parameter after the other would be a thousand.

#pragma once

#include "parameters.h"

namespace mp {

struct AdamWStep {
  double rate;
  double beta1;
  double beta2;
  double eps;
  double decay;
  int64_t step;
};

// Steps along the gradients that are marked in `left`, of what lies on a GPU (of all, for a list that leaves all), and takes
// the mark off.
void fused_sgd(mp_parameters& list, double rate, double momentum, double decay, bool nesterov, bool* left);
void fused_adamw(mp_parameters& list, const AdamWStep& rule, bool* left);

// Scales all gradients to a joint norm of at most `max_norm`; the norm before, undefined where there is no gradient.
at::Tensor clip(const mp_parameters& list, double max_norm);

// Multiplies all gradients by `factor`; whether all their numbers were finite.
bool unscale(const mp_parameters& list, const at::Tensor& factor);

}  // namespace mp
