// What the ops over several paths share: how their tensors cross the border, and the frame of their autograd nodes.
// `torch::autograd::Function` does not track lists of tensors.

#pragma once

#include "dispatch.h"
#include "mix_kernels.h"
#include "node.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <utility>
#include <vector>

namespace mp {

using torch::autograd::variable_list;

template <typename Number>
std::vector<Number*> pointers(const variable_list& tensors) {
  std::vector<Number*> result;
  for (const auto& tensor : tensors) {
    result.push_back(numbers<Number>(tensor));
  }
  return result;
}

// The tensors that a caller keeps.
inline variable_list borrowed(at::Tensor* const* tensors, size_t count) {
  variable_list result;
  for (size_t at = 0; at < count; ++at) {
    result.push_back(*tensors[at]);
  }
  return result;
}

// Writes new tensors to `to`, owned by the caller.
inline void hand_over(variable_list&& tensors, at::Tensor** to) {
  for (size_t at = 0; at < tensors.size(); ++at) {
    to[at] = new at::Tensor(std::move(tensors[at]));
  }
}

inline void check_count(const char* what, int64_t count) {
  TORCH_CHECK(count >= 1 && count <= kMaxPaths, "1 to ", kMaxPaths, " ", what, " expected, not ", count);
}

// The sources [B, ...] in the layout of the first.
inline variable_list in_one_layout(variable_list xs) {
  check_count("sources", static_cast<int64_t>(xs.size()));
  const auto format = xs[0].suggest_memory_format();
  const auto size = xs[0].sizes().vec();
  const auto kind = xs[0].scalar_type();
  const auto device = xs[0].device();
  for (auto& x : xs) {
    TORCH_CHECK(x.sizes() == at::IntArrayRef(size) && x.scalar_type() == kind && x.device() == device &&
                    (device.is_cpu() || device.is_cuda()),
                "sources of one shape and type on one device, a CPU or a GPU, expected");
    x = x.contiguous(format);
  }
  return xs;
}

// The weights [B, S, T] between sources and targets, in the type in which they are summed.
inline at::Tensor checked_weights(const at::Tensor& weights, const variable_list& xs, int targets) {
  const auto sources = static_cast<int64_t>(xs.size());
  check_count("targets", targets);
  TORCH_CHECK(weights.dim() == 3 && weights.size(0) == xs[0].size(0) && weights.size(1) == sources,
              "weights [B, S, T] of the sources expected, not ", weights.sizes());
  TORCH_CHECK(weights.size(2) == targets, "weights of ", targets, " targets expected");
  TORCH_CHECK(weights.device() == xs[0].device(), "weights on ", xs[0].device(), " expected, not on ", weights.device());
  return weights.to(accumulator(xs[0].scalar_type())).contiguous();
}

// g_ij, one number a sample, as a factor of maps like `x`.
inline at::Tensor factor(const at::Tensor& weights, int64_t i, int64_t j, const at::Tensor& x) {
  std::vector<int64_t> one_a_sample(static_cast<size_t>(x.dim()), 1);
  one_a_sample[0] = -1;
  return weights.select(1, i).select(1, j).to(x.scalar_type()).reshape(one_a_sample);
}

// The gradients of the sources and of the weights by differentiable operations, which a gradient of gradients is taken of;
// `part(j, i)` is what the gradient of target j says about source i before it is weighted.
template <typename Part>
variable_list composed_gradients(const variable_list& xs, const at::Tensor& weights, Part part) {
  variable_list gradients;
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < static_cast<int64_t>(xs.size()); ++i) {
    at::Tensor dx;
    std::vector<at::Tensor> row;
    for (int64_t j = 0; j < weights.size(2); ++j) {
      const at::Tensor dy = part(j, i);
      const auto weighted = dy * factor(weights, i, j, dy);
      dx = dx.defined() ? dx + weighted : weighted;
      row.push_back((dy * xs[i]).flatten(1).sum(1, false, weights.scalar_type()));
    }
    gradients.push_back(dx);
    rows.push_back(at::stack(row, 1));
  }
  gradients.push_back(at::stack(rows, 1));
  return gradients;
}

// A node that keeps its inputs, the sources first.
struct PathsNode : public torch::autograd::Node {
  std::vector<torch::autograd::SavedVariable> saved;
  at::MemoryFormat format = at::MemoryFormat::Contiguous;

  void release_variables() override {
    for (auto& input : saved) {
      input.reset_data();
    }
  }

 protected:
  variable_list unpacked() {
    variable_list inputs;
    for (auto& input : saved) {
      inputs.push_back(input.unpack());
    }
    return inputs;
  }

  // The gradients of targets that are like `y`; one that the loss does not depend on has none.
  void fill(variable_list& gradients, const at::Tensor& y) const {
    for (auto& dy : gradients) {
      dy = dy.defined() ? dy.to(y.scalar_type()).contiguous(format) : at::zeros_like(y, format);
    }
  }

  variable_list empty_like_sources(const variable_list& xs) const {
    variable_list dxs;
    for (const auto& x : xs) {
      dxs.push_back(at::empty_like(x, format));
    }
    return dxs;
  }
};

// Lets gradients of `outputs` reach `inputs` by a new node, which `set` completes, where any input wants one.
template <typename Node, typename Set>
void record(const variable_list& inputs, variable_list& outputs, at::MemoryFormat format, Set set) {
  if (!torch::autograd::compute_requires_grad(inputs)) {
    return;
  }
  auto node = make_node<Node>();
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  for (const auto& input : inputs) {
    node->saved.emplace_back(input, false);
  }
  node->format = format;
  set(*node);
  for (auto& output : outputs) {
    torch::autograd::set_history(output, node);
  }
}

}  // namespace mp
