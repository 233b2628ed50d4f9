// Gated inputs: Z_j = concat_i(g_ij X_i) over the channels, what the wide convolution of each target of a cross-prediction
// reads. Every source is read once and every Z_j written once; backward both the maps' and the weights' gradients come of one
// pass.

#include "boundary.h"
#include "cuda/gate_inputs.h"
#include "dispatch.h"
#include "mix_kernels.h"
#include "parallel.h"
#include "paths.h"

#include <ATen/ATen.h>

namespace {

using mp::pointers;
using mp::variable_list;

mp::RowsShape shape_of(const variable_list& xs, const at::Tensor& weights, at::MemoryFormat format) {
  const int64_t channels = xs[0].size(1);
  const int64_t numbers = xs[0].numel() / xs[0].size(0);
  // Channels-last, each pixel is a row of channels; else the whole map of a sample is one row.
  const int64_t width = format == at::MemoryFormat::ChannelsLast ? channels : numbers;
  return {static_cast<int>(xs.size()), static_cast<int>(weights.size(2)), numbers / width, width};
}

// Room for what one target gets: the channels of all sources.
at::Tensor wide(const variable_list& xs, at::MemoryFormat format) {
  auto size = xs[0].sizes().vec();
  size[1] *= static_cast<int64_t>(xs.size());
  return at::empty(size, xs[0].options().memory_format(format));
}

struct GateInputsBackward : public mp::PathsNode {
  std::string name() const override { return "GateInputsBackward"; }

  variable_list apply(variable_list&& gradients) override {
    auto xs = unpacked();
    const auto weights = xs.back();
    xs.pop_back();
    fill(gradients, wide(xs, format));
    if (at::GradMode::is_enabled()) {
      const int64_t channels = xs[0].size(1);
      const auto part = [&](int64_t j, int64_t i) { return gradients[j].narrow(1, i * channels, channels); };
      return mp::composed_gradients(xs, weights, part);
    }
    auto dxs = empty_like_sources(xs);
    if (weights.size(0) > 0 && xs[0].is_cuda()) {
      const auto shape = shape_of(xs, weights, format);
      dxs.push_back(
          mp::gpu_gate_inputs_gradients(xs, weights, gradients, variable_list(dxs), shape.rows, shape.width));
      return dxs;
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

variable_list gate_inputs(const variable_list& xs, const at::Tensor& weights) {
  const auto format = xs[0].suggest_memory_format();
  variable_list zs;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    for (int64_t j = 0; j < weights.size(2); ++j) {
      zs.push_back(wide(xs, format));
    }
    if (weights.size(0) > 0 && xs[0].is_cuda()) {
      const auto shape = shape_of(xs, weights, format);
      mp::gpu_gate_inputs(xs, weights, zs, shape.rows, shape.width);
    } else if (weights.size(0) > 0) {
      const auto shape = shape_of(xs, weights, format);
      mp::dispatch(xs[0].scalar_type(), [&]<typename Number, typename Real>() {
        const auto x = pointers<const Number>(xs);
        const auto z = pointers<Number>(zs);
        const int64_t pairs = shape.sources * shape.targets;
        mp::parallel_for(weights.size(0), [&](int64_t b) {
          mp::gate_rows(x.data(), z.data(), mp::numbers<const Real>(weights) + b * pairs, shape, b);
        });
      });
    }
  }
  auto inputs = xs;
  inputs.push_back(weights);
  mp::record<GateInputsBackward>(inputs, zs, format, [](GateInputsBackward&) {});
  return zs;
}

}  // namespace

extern "C" {

// Writes `targets` new tensors to `zs`, owned by the caller. Returns null, or what went wrong, valid until the next call
// on this thread.
const char* mp_gate_inputs(at::Tensor* const* xs, int sources, const at::Tensor* weights, int targets, at::Tensor** zs) {
  return mp::guarded("mp::gate_inputs", [&] {
    const auto inputs = mp::in_one_layout(mp::borrowed(xs, static_cast<size_t>(sources)));
    mp::hand_over(gate_inputs(inputs, mp::checked_weights(*weights, inputs, targets)), zs);
  });
}
}
