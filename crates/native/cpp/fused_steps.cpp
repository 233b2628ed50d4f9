// See fused_steps.h.

#include "fused_steps.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <vector>

namespace mp {

namespace {

using Tensors = std::vector<at::Tensor>;

// Parameters that one call moves: the operations want lists of one type on one device, and one decay for all.
struct Group {
  Tensors parameters;
  Tensors gradients;
  std::array<Tensors, kMaxMemory> memory;
  bool decays = false;
  size_t memories = 0;

  bool takes(const Parameter& parameter, size_t wanted) const {
    const auto& first = parameters[0];
    const auto& tensor = parameter.tensor;
    return first.device() == tensor.device() && first.scalar_type() == tensor.scalar_type() &&
           decays == parameter.decays && memories == wanted;
  }
};

// The operations read numbers side by side: a gradient of another layout is laid out like its parameter.
at::Tensor laid_out_like(const at::Tensor& gradient, const at::Tensor& parameter) {
  if (gradient.strides() == parameter.strides() && gradient.scalar_type() == parameter.scalar_type()) {
    return gradient;
  }
  return at::empty_like(parameter).copy_(gradient);
}

bool are_alike(const Parameter& parameter) {
  const auto& tensor = parameter.tensor;
  for (size_t index = 0; index < parameter.memories; ++index) {
    const auto& memory = parameter.memory[index];
    if (memory.strides() != tensor.strides() || memory.scalar_type() != tensor.scalar_type() ||
        memory.device() != tensor.device()) {
      return false;
    }
  }
  return tensor.is_non_overlapping_and_dense();
}

std::vector<Group> groups(const mp_parameters& list, size_t least_memories, bool* left) {
  std::vector<Group> found;
  for (size_t index = 0; index < list.parameters.size(); ++index) {
    const auto& parameter = list.parameters[index];
    const auto& tensor = parameter.tensor;
    if (!left[index] || !(tensor.is_cuda() || list.leave_all) || parameter.memories < least_memories ||
        !are_alike(parameter)) {
      continue;
    }
    left[index] = false;
    auto group = found.begin();
    while (group != found.end() && !group->takes(parameter, parameter.memories)) {
      ++group;
    }
    if (group == found.end()) {
      group = found.insert(found.end(), Group{});
      group->decays = parameter.decays;
      group->memories = parameter.memories;
    }
    group->parameters.push_back(tensor);
    group->gradients.push_back(laid_out_like(tensor.grad(), tensor));
    for (size_t at = 0; at < parameter.memories; ++at) {
      group->memory[at].push_back(parameter.memory[at]);
    }
  }
  return found;
}

Tensors gradients_of(const mp_parameters& list) {
  Tensors found;
  for (const auto& parameter : list.parameters) {
    if (parameter.tensor.grad().defined()) {
      found.push_back(parameter.tensor.grad());
    }
  }
  return found;
}

}  // namespace

void fused_sgd(mp_parameters& list, double rate, double momentum, double decay, bool nesterov, bool* left) {
  const c10::NoGradGuard no_grad;
  for (auto& group : groups(list, 0, left)) {
    const bool remembers = group.memories > 0 && momentum != 0;
    at::_fused_sgd_(group.parameters, group.gradients, remembers ? group.memory[0] : Tensors{},
                    group.decays ? decay : 0.0, remembers ? momentum : 0.0, rate, /*dampening=*/0.0,
                    remembers && nesterov, /*maximize=*/false, /*is_first_step=*/false);
  }
}

void fused_adamw(mp_parameters& list, const AdamWStep& rule, bool* left) {
  const c10::NoGradGuard no_grad;
  for (auto& group : groups(list, 2, left)) {
    const auto& first = group.parameters[0];
    const auto step = at::full({}, static_cast<double>(rule.step), first.options().dtype(at::kFloat));
    at::_fused_adamw_(group.parameters, group.gradients, group.memory[0], group.memory[1], {},
                      Tensors(group.parameters.size(), step), rule.rate, rule.beta1, rule.beta2,
                      group.decays ? rule.decay : 0.0, rule.eps, /*amsgrad=*/false, /*maximize=*/false);
  }
}

at::Tensor clip(const mp_parameters& list, double max_norm) {
  const c10::NoGradGuard no_grad;
  const auto gradients = gradients_of(list);
  if (gradients.empty()) {
    return {};
  }
  const auto norm = at::stack(at::_foreach_norm(gradients)).norm();
  // As PyTorch has it.
  at::_foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp_max(1.0));
  return norm;
}

bool unscale(const mp_parameters& list, const at::Tensor& factor) {
  const c10::NoGradGuard no_grad;
  const auto gradients = gradients_of(list);
  if (gradients.empty()) {
    return true;
  }
  auto found = at::zeros({}, factor.options().dtype(at::kFloat));
  at::_amp_foreach_non_finite_check_and_unscale_(gradients, found, factor);
  return found.item<float>() == 0;
}

}  // namespace mp
