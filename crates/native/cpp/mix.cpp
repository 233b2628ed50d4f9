// Mixing of paths in one pass over memory: Y_j = sum_i g_ij X_i and its gradients.
//
// Composed of tensor operations it reads every source once a target and every target once a source; here a block of all
// sources lies in the first-level cache while all targets are computed from it. The same holds for the gradients, which
// take one pass for both the maps' and the weights'.

#include "boundary.h"
#include "dispatch.h"
#include "mix_kernels.h"
#include "parallel.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <vector>

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct Shape {
  int sources;
  int targets;
  int64_t batch;
  int64_t numbers;  // of one sample
};

template <typename Number>
std::vector<Number*> pointers(const variable_list& tensors) {
  std::vector<Number*> result;
  for (const auto& tensor : tensors) {
    result.push_back(static_cast<Number*>(tensor.data_ptr()));
  }
  return result;
}

template <typename Number, typename Weight>
void forward(const Shape& shape, const variable_list& xs, const at::Tensor& weights, const variable_list& ys) {
  const auto x = pointers<const Number>(xs);
  const auto y = pointers<Number>(ys);
  const auto* g = weights.const_data_ptr<Weight>();
  const int64_t pairs = shape.sources * shape.targets;
  mp::parallel_for(shape.batch, [&](int64_t b) {
    mp::mix_sample(x.data(), y.data(), g + b * pairs, shape.sources, shape.targets, b * shape.numbers, shape.numbers);
  });
}

template <typename Number, typename Weight>
void backward(const Shape& shape, const variable_list& xs, const at::Tensor& weights, const variable_list& dys,
              const variable_list& dxs, const at::Tensor& dweights) {
  const auto x = pointers<const Number>(xs);
  const auto dy = pointers<const Number>(dys);
  const auto dx = pointers<Number>(dxs);
  const auto* g = weights.const_data_ptr<Weight>();
  auto* dg = dweights.mutable_data_ptr<Weight>();
  const int64_t pairs = shape.sources * shape.targets;
  mp::parallel_for(shape.batch, [&](int64_t b) {
    mp::mix_sample_gradients(x.data(), dy.data(), dx.data(), g + b * pairs, dg + b * pairs, shape.sources,
                             shape.targets, b * shape.numbers, shape.numbers);
  });
}

Shape shape_of(const variable_list& xs, const at::Tensor& weights) {
  const int64_t batch = xs[0].size(0);
  return {static_cast<int>(xs.size()), static_cast<int>(weights.size(2)), batch,
          batch == 0 ? 0 : xs[0].numel() / batch};
}

// The gradients by differentiable operations: what a gradient of gradients is taken of.
variable_list composed_gradients(const variable_list& xs, const at::Tensor& weights, const variable_list& dys) {
  const auto per_sample = [&](int64_t i, int64_t j) {
    std::vector<int64_t> ones(static_cast<size_t>(xs[0].dim()), 1);
    ones[0] = -1;
    return weights.select(1, i).select(1, j).to(xs[0].scalar_type()).reshape(ones);
  };
  const auto sources = static_cast<int64_t>(xs.size());
  const auto targets = static_cast<int64_t>(dys.size());
  variable_list gradients;
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < sources; ++i) {
    at::Tensor dx;
    std::vector<at::Tensor> row;
    for (int64_t j = 0; j < targets; ++j) {
      const auto part = dys[j] * per_sample(i, j);
      dx = dx.defined() ? dx + part : part;
      row.push_back((dys[j] * xs[i]).flatten(1).sum(1, false, weights.scalar_type()));
    }
    gradients.push_back(dx);
    rows.push_back(at::stack(row, 1));
  }
  gradients.push_back(at::stack(rows, 1));
  return gradients;
}

struct MixBackward : public torch::autograd::Node {
  std::vector<SavedVariable> saved_xs;
  SavedVariable saved_weights;
  at::MemoryFormat format = at::MemoryFormat::Contiguous;

  std::string name() const override { return "MixBackward"; }

  void release_variables() override {
    for (auto& x : saved_xs) {
      x.reset_data();
    }
    saved_weights.reset_data();
  }

  variable_list apply(variable_list&& gradients) override {
    variable_list xs;
    for (auto& x : saved_xs) {
      xs.push_back(x.unpack());
    }
    const auto weights = saved_weights.unpack();
    for (auto& dy : gradients) {
      // A target that the loss does not depend on has no gradient.
      dy = dy.defined() ? dy.to(xs[0].scalar_type()).contiguous(format) : at::zeros_like(xs[0], format);
    }
    if (at::GradMode::is_enabled()) {
      return composed_gradients(xs, weights, gradients);
    }
    variable_list dxs;
    for (const auto& x : xs) {
      dxs.push_back(at::empty_like(x, format));
    }
    const auto dweights = at::empty_like(weights);
    const auto shape = shape_of(xs, weights);
    mp::dispatch(xs[0].scalar_type(), [&]<typename Number, typename Weight>() {
      backward<Number, Weight>(shape, xs, weights, gradients, dxs, dweights);
    });
    dxs.push_back(dweights);
    return dxs;
  }
};

variable_list mix(variable_list xs, at::Tensor weights) {
  const auto kind = xs[0].scalar_type();
  const auto format = xs[0].suggest_memory_format();
  for (auto& x : xs) {
    TORCH_CHECK(x.sizes() == xs[0].sizes() && x.scalar_type() == kind && x.device().is_cpu(),
                "sources of one shape and type on the CPU expected");
    x = x.contiguous(format);
  }
  weights = weights.to(mp::accumulator(kind)).contiguous();
  TORCH_CHECK(weights.dim() == 3 && weights.size(0) == xs[0].size(0) &&
                  weights.size(1) == static_cast<int64_t>(xs.size()),
              "weights [B, S, T] of the sources expected, not ", weights.sizes());

  variable_list inputs = xs;
  inputs.push_back(weights);
  const bool differentiable = torch::autograd::compute_requires_grad(inputs);
  variable_list ys;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    for (int64_t j = 0; j < weights.size(2); ++j) {
      ys.push_back(at::empty_like(xs[0], format));
    }
    const auto shape = shape_of(xs, weights);
    mp::dispatch(kind, [&]<typename Number, typename Weight>() { forward<Number, Weight>(shape, xs, weights, ys); });
  }
  if (differentiable) {
    auto node = c10::make_intrusive<MixBackward>();
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    for (const auto& x : xs) {
      node->saved_xs.emplace_back(x, false);
    }
    node->saved_weights = SavedVariable(weights, false);
    node->format = format;
    for (auto& y : ys) {
      torch::autograd::set_history(y, node);
    }
  }
  return ys;
}

}  // namespace

extern "C" {

// Writes `targets` new tensors to `ys`, owned by the caller. Returns null, or what went wrong, valid until the next call
// on this thread.
const char* mp_mix(at::Tensor* const* xs, int sources, const at::Tensor* weights, int targets, at::Tensor** ys) {
  return mp::guarded("mp::mix", [&] {
    TORCH_CHECK(sources >= 1 && sources <= mp::kMaxPaths && targets >= 1 && targets <= mp::kMaxPaths,
                "1 to ", mp::kMaxPaths, " paths expected, not ", sources, " to ", targets);
    variable_list inputs;
    for (int i = 0; i < sources; ++i) {
      inputs.push_back(*xs[i]);
    }
    TORCH_CHECK(weights->dim() == 3 && weights->size(2) == targets, "weights of ", targets, " targets expected");
    auto outputs = mix(std::move(inputs), *weights);
    for (int j = 0; j < targets; ++j) {
      ys[j] = new at::Tensor(std::move(outputs[j]));
    }
  });
}
}
