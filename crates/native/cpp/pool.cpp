// Max pooling in one pass over memory: of where each largest number stood one byte is kept for the gradient, where libtorch keeps
// eight, and for inference nothing.

#include "boundary.h"
#include "dispatch.h"
#include "node.h"
#include "parallel.h"
#include "pool_kernels.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr auto kFormat = at::MemoryFormat::ChannelsLast;

// `body.operator()<Number>()` for float32 or bfloat16.
template <typename Body>
void of_kind(at::ScalarType kind, Body body) {
  if (kind == at::kFloat) {
    body.template operator()<float>();
  } else {
    body.template operator()<mp::bf16>();
  }
}

struct MaxPoolBackward : public torch::autograd::Node {
  SavedVariable saved_x;
  at::Tensor codes;
  mp::PoolShape shape{};

  std::string name() const override { return "MaxPoolBackward"; }

  void release_variables() override {
    saved_x.reset_data();
    codes.reset();
  }

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) {
      return variable_list(1);
    }
    const auto x = saved_x.unpack();
    const auto dy = gradients[0].to(x.scalar_type()).contiguous(kFormat);
    if (at::GradMode::is_enabled()) {
      const int64_t kernel[] = {shape.kernel, shape.kernel}, stride[] = {shape.stride, shape.stride},
                    padding[] = {shape.padding, shape.padding}, dilation[] = {1, 1};
      const bool ceil = shape.out_height != (shape.height + 2 * shape.padding - shape.kernel) / shape.stride + 1 ||
                        shape.out_width != (shape.width + 2 * shape.padding - shape.kernel) / shape.stride + 1;
      const auto places = std::get<1>(at::max_pool2d_with_indices(x, kernel, stride, padding, dilation, ceil));
      return {at::max_pool2d_with_indices_backward(dy, x, kernel, stride, padding, dilation, ceil, places)};
    }
    const auto dx = at::empty_like(x, kFormat);
    of_kind(x.scalar_type(), [&]<typename Number>() {
      const auto* from = mp::numbers<const Number>(dy);
      const auto* kept = mp::numbers<const uint8_t>(codes);
      auto* to = mp::numbers<Number>(dx);
      const int64_t result = shape.out_height * shape.out_width * shape.channels;
      mp::parallel_for(x.size(0) * shape.height, [&](int64_t row) {
        const int64_t image = row / shape.height;
        mp::max_pool_gradient_row(from + image * result, kept + image * result, to + row * shape.width * shape.channels,
                                  row % shape.height, shape);
      });
    });
    return {dx};
  }
};

bool takes(const at::Tensor& x) {
  const auto kind = x.scalar_type();
  return x.is_cpu() && x.dim() == 4 && x.numel() > 0 && (kind == at::kFloat || kind == at::kBFloat16) &&
         x.suggest_memory_format() == kFormat;
}

}  // namespace

extern "C" {

bool mp_can_max_pool(const at::Tensor* x) { return takes(*x); }

// `height` and `width` are those of the result.
const char* mp_max_pool(const at::Tensor* map, int64_t kernel, int64_t stride, int64_t padding, int64_t height,
                        int64_t width, at::Tensor** y) {
  return mp::guarded("mp::max_pool", [&] {
    TORCH_CHECK(takes(*map), "a map of float32 or bfloat16 expected, channels-last, on the CPU");
    const auto x = map->contiguous(kFormat);
    // Every window must reach into the map, or it would have no largest number.
    const auto fits = [&](int64_t axis, int64_t count) {
      return count > 0 && (count - 1) * stride - padding < x.size(axis) && kernel > padding;
    };
    // A cell of a window is numbered in a byte.
    TORCH_CHECK(kernel > 0 && kernel < 16 && stride > 0 && padding >= 0 && fits(2, height) && fits(3, width),
                "windows of ", kernel, " with a stride of ", stride, " and a padding of ", padding, " do not give ", height,
                " x ", width, " of ", x.sizes());
    const mp::PoolShape shape{x.size(2), x.size(3), x.size(1), kernel, stride, padding, height, width};
    const bool differentiable = torch::autograd::compute_requires_grad(x);
    at::Tensor result, codes;
    {
      at::AutoDispatchBelowADInplaceOrView below;
      result = at::empty({x.size(0), x.size(1), height, width}, x.options(), kFormat);
      if (differentiable) {
        codes = at::empty({result.numel()}, x.options().dtype(at::kByte));
      }
      of_kind(x.scalar_type(), [&]<typename Number>() {
        const auto* from = mp::numbers<const Number>(x);
        auto* to = mp::numbers<Number>(result);
        auto* kept = codes.defined() ? mp::numbers<uint8_t>(codes) : nullptr;
        mp::parallel_for(x.size(0) * height, [&](int64_t row) {
          const int64_t at = row * width * shape.channels;
          mp::max_pool_row(from + row / height * shape.height * shape.width * shape.channels, to + at,
                           kept == nullptr ? nullptr : kept + at, row % height, shape);
        });
      });
    }
    if (differentiable) {
      auto node = mp::make_node<MaxPoolBackward>();
      node->set_next_edges(torch::autograd::collect_next_edges(x));
      torch::autograd::set_history(result, node);
      node->saved_x = SavedVariable(x, false);
      node->codes = codes;
      node->shape = shape;
    }
    *y = new at::Tensor(std::move(result));
  });
}
}
