// Gated inputs: Z_j = concat_i(g_ij X_i) over the channels, what the wide convolution of each target of a cross-prediction
// reads. Every source is read once and every Z_j written once; backward both the maps' and the weights' gradients come of one
// pass.

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
using torch::autograd::variable_list;

mp::RowsShape shape_of(const variable_list& xs, const at::Tensor& weights, at::MemoryFormat format) {
  const int64_t channels = xs[0].size(1);
  const int64_t numbers = xs[0].numel() / xs[0].size(0);
  // Channels-last, each pixel is a row of channels; else the whole map of a sample is one row.
  const int64_t width = format == at::MemoryFormat::ChannelsLast ? channels : numbers;
  return {static_cast<int>(xs.size()), static_cast<int>(weights.size(2)), numbers / width, width};
}

template <typename Number>
std::vector<Number*> pointers(const variable_list& tensors) {
  std::vector<Number*> result;
  for (const auto& tensor : tensors) {
    result.push_back(mp::numbers<Number>(tensor));
  }
  return result;
}

// The gradients by differentiable operations: what a gradient of gradients is taken of.
variable_list composed_gradients(const variable_list& xs, const at::Tensor& weights, const variable_list& dzs) {
  const int64_t channels = xs[0].size(1);
  std::vector<int64_t> one_a_sample(static_cast<size_t>(xs[0].dim()), 1);
  one_a_sample[0] = -1;
  variable_list gradients;
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < xs.size(); ++i) {
    const auto source = static_cast<int64_t>(i);
    at::Tensor dx;
    std::vector<at::Tensor> row;
    for (size_t j = 0; j < dzs.size(); ++j) {
      const auto dz = dzs[j].narrow(1, source * channels, channels);
      const auto g = weights.select(1, source).select(1, static_cast<int64_t>(j));
      const auto part = dz * g.to(dz.scalar_type()).reshape(one_a_sample);
      dx = dx.defined() ? dx + part : part;
      row.push_back((dz * xs[i]).flatten(1).sum(1, false, weights.scalar_type()));
    }
    gradients.push_back(dx);
    rows.push_back(at::stack(row, 1));
  }
  gradients.push_back(at::stack(rows, 1));
  return gradients;
}

struct GateInputsBackward : public torch::autograd::Node {
  std::vector<SavedVariable> saved_xs;
  SavedVariable saved_weights;
  at::MemoryFormat format = at::MemoryFormat::Contiguous;

  std::string name() const override { return "GateInputsBackward"; }

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
    auto wide = xs[0].sizes().vec();
    wide[1] *= static_cast<int64_t>(xs.size());
    for (auto& dz : gradients) {
      // A target that the loss does not depend on has no gradient.
      dz = dz.defined() ? dz.to(xs[0].scalar_type()).contiguous(format)
                        : at::zeros(wide, xs[0].options().memory_format(format));
    }
    if (at::GradMode::is_enabled()) {
      return composed_gradients(xs, weights, gradients);
    }
    variable_list dxs;
    for (const auto& x : xs) {
      dxs.push_back(at::empty_like(x, format));
    }
    const auto dweights = at::empty_like(weights);
    if (weights.size(0) > 0) {
      const auto shape = shape_of(xs, weights, format);
      mp::dispatch(xs[0].scalar_type(), [&]<typename Number, typename Real>() {
        const auto x = pointers<const Number>(xs), dz = pointers<const Number>(gradients);
        const auto dx = pointers<Number>(dxs);
        const int64_t pairs = shape.sources * shape.targets;
        mp::parallel_for(weights.size(0), [&](int64_t b) {
          mp::gate_rows_gradients(x.data(), dz.data(), dx.data(), mp::numbers<const Real>(weights) + b * pairs,
                                  mp::numbers<Real>(dweights) + b * pairs, shape, b);
        });
      });
    }
    dxs.push_back(dweights);
    return dxs;
  }
};

variable_list gate_inputs(variable_list xs, at::Tensor weights) {
  const auto kind = xs[0].scalar_type();
  const auto format = xs[0].suggest_memory_format();
  for (auto& x : xs) {
    TORCH_CHECK(x.sizes() == xs[0].sizes() && x.scalar_type() == kind && x.device().is_cpu() && x.dim() >= 2,
                "sources [B, C, ...] of one shape and type on the CPU expected");
    x = x.contiguous(format);
  }
  weights = weights.to(mp::accumulator(kind)).contiguous();
  TORCH_CHECK(weights.dim() == 3 && weights.size(0) == xs[0].size(0) &&
                  weights.size(1) == static_cast<int64_t>(xs.size()),
              "weights [B, S, T] of the sources expected, not ", weights.sizes());

  variable_list inputs = xs;
  inputs.push_back(weights);
  const bool differentiable = torch::autograd::compute_requires_grad(inputs);
  auto wide = xs[0].sizes().vec();
  wide[1] *= static_cast<int64_t>(xs.size());
  variable_list zs;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    for (int64_t j = 0; j < weights.size(2); ++j) {
      zs.push_back(at::empty(wide, xs[0].options().memory_format(format)));
    }
    if (weights.size(0) > 0) {
      const auto shape = shape_of(xs, weights, format);
      mp::dispatch(kind, [&]<typename Number, typename Real>() {
        const auto x = pointers<const Number>(xs);
        const auto z = pointers<Number>(zs);
        const int64_t pairs = shape.sources * shape.targets;
        mp::parallel_for(weights.size(0), [&](int64_t b) {
          mp::gate_rows(x.data(), z.data(), mp::numbers<const Real>(weights) + b * pairs, shape, b);
        });
      });
    }
  }
  if (differentiable) {
    auto node = c10::make_intrusive<GateInputsBackward>();
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    for (const auto& x : xs) {
      node->saved_xs.emplace_back(x, false);
    }
    node->saved_weights = SavedVariable(weights, false);
    node->format = format;
    for (auto& z : zs) {
      torch::autograd::set_history(z, node);
    }
  }
  return zs;
}

}  // namespace

extern "C" {

// Writes `targets` new tensors to `zs`, owned by the caller. Returns null, or what went wrong, valid until the next call
// on this thread.
const char* mp_gate_inputs(at::Tensor* const* xs, int sources, const at::Tensor* weights, int targets, at::Tensor** zs) {
  return mp::guarded("mp::gate_inputs", [&] {
    TORCH_CHECK(sources >= 1 && sources <= mp::kMaxPaths && targets >= 1 && targets <= mp::kMaxPaths,
                "1 to ", mp::kMaxPaths, " paths expected, not ", sources, " to ", targets);
    variable_list inputs;
    for (int i = 0; i < sources; ++i) {
      inputs.push_back(*xs[i]);
    }
    TORCH_CHECK(weights->dim() == 3 && weights->size(2) == targets, "weights of ", targets, " targets expected");
    auto outputs = gate_inputs(std::move(inputs), *weights);
    for (int j = 0; j < targets; ++j) {
      zs[j] = new at::Tensor(std::move(outputs[j]));
    }
  });
}
}
