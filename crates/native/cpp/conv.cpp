// Convolution whose weights' gradient is our own, where that is quicker than libtorch's: in bfloat16, on CPUs that multiply
// pairs of such numbers. It is summed in float32 and given in the weights' own format, without a detour by bfloat16.
//
// The result and the input's gradient are oneDNN's, as ever.

#include "autocast.h"
#include "boundary.h"
#include "conv_kernels.h"
#include "dispatch.h"
#include "node.h"
#include "parallel.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <memory>

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr auto kFormat = at::MemoryFormat::ChannelsLast;
constexpr int64_t kOne[] = {1, 1};

struct Gradients {
  at::Tensor x, weight, bias;
};

// libtorch's, differentiable where gradients are recorded.
Gradients composed_gradients(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                             std::array<bool, 3> wanted) {
  const int64_t filters[] = {weight.size(0)}, strides[] = {stride, stride}, none[] = {0, 0};
  auto [dx, dw, db] = at::convolution_backward(dy, x, weight, filters, strides, kOne, kOne, false, none, 1, wanted);
  return {dx, dw, db};
}

// [filters, channels, 3, 3] in float32, channels-last.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x, int64_t stride) {
  const mp::ConvShape shape{x.size(1), dy.size(1), x.size(2), x.size(3), stride};
  // Sums are made over a number of images that does not depend on the threads, large enough that adding up is little work
  // beside them.
  const int64_t images = x.size(0);
  const int64_t most = std::max<int64_t>((images + 7) / 8, 1);
  const int64_t size = std::min(std::max<int64_t>(4096 / (shape.out_height() * shape.out_width()), 4), most);
  const int64_t count = (images + size - 1) / size;

  const auto options = x.options().dtype(at::kFloat).memory_format(c10::nullopt);
  const auto sums = at::empty({count, shape.weights()}, options);
  const auto* from = mp::numbers<const mp::bf16>(x);
  const auto* gradient = mp::numbers<const mp::bf16>(dy);
  mp::parallel_for(count, [&](int64_t part) {
    const int64_t first = part * size;
    const std::unique_ptr<uint32_t[]> memory(new uint32_t[static_cast<size_t>(shape.group() * shape.packed())]);
    mp::conv_weight_sums(from + first * x.stride(0), gradient + first * dy.stride(0), std::min(size, images - first), shape,
                         memory.get(), mp::numbers<float>(sums) + part * shape.weights());
  });
  const auto dw = at::empty({shape.filters, shape.channels, 3, 3}, options, kFormat);
  mp::parallel_for(shape.blocks(), [&](int64_t block) {
    mp::conv_weight_total(mp::numbers<const float>(sums), count, block, shape, mp::numbers<float>(dw));
  });
  return dw;
}

struct ConvBackward : public torch::autograd::Node {
  SavedVariable saved_x;
  SavedVariable saved_weight;
  // The weights as they were multiplied with.
  at::Tensor narrow;
  int64_t stride = 1;

  std::string name() const override { return "ConvBackward"; }

  void release_variables() override {
    saved_x.reset_data();
    saved_weight.reset_data();
    narrow.reset();
  }

  variable_list apply(variable_list&& gradients) override {
    if (!gradients[0].defined()) {
      return variable_list(3);
    }
    const auto x = saved_x.unpack();
    const auto weight = saved_weight.unpack();
    const auto dy = gradients[0].to(x.scalar_type()).contiguous(kFormat);
    const std::array<bool, 3> wanted = {task_should_compute_output(0), task_should_compute_output(1),
                                        task_should_compute_output(2)};
    Gradients found;
    if (at::GradMode::is_enabled()) {
      found = composed_gradients(dy, x, weight.to(x.scalar_type()), stride, wanted);
    } else {
      found = composed_gradients(dy, x, narrow, stride, {wanted[0], false, wanted[2]});
      if (wanted[1]) {
        found.weight = weight_gradient(dy, x, stride);
      }
    }
    const auto in_own_format = [&](at::Tensor gradient) {
      return gradient.defined() ? gradient.to(weight.scalar_type()) : gradient;
    };
    return {found.x, in_own_format(found.weight), in_own_format(found.bias)};
  }
};

at::Tensor convolve(const at::Tensor& map, const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
  const auto x = map.to(at::kBFloat16).contiguous(kFormat);
  at::Tensor y, narrow;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    const c10::impl::ExcludeDispatchKeyGuard in_this_format(c10::autocast_dispatch_keyset);
    narrow = weight.to(at::kBFloat16).contiguous(kFormat);
    const auto start = bias.defined() ? bias.to(at::kBFloat16) : bias;
    const int64_t strides[] = {stride, stride};
    y = at::conv2d(x, narrow, start, strides, kOne).contiguous(kFormat);
  }
  auto node = mp::make_node<ConvBackward>();
  node->set_next_edges(torch::autograd::collect_next_edges(x, weight, bias));
  torch::autograd::set_history(y, node);
  node->saved_x = SavedVariable(x, false);
  node->saved_weight = SavedVariable(weight, false);
  node->narrow = narrow;
  node->stride = stride;
  return y;
}

}  // namespace

extern "C" {

bool mp_can_conv(const at::Tensor* x, const at::Tensor* weight, int64_t stride, int64_t padding) {
  return mp::has_bf16_products() && at::GradMode::is_enabled() && weight->requires_grad() && x->is_cpu() &&
         weight->is_cpu() && x->dim() == 4 && x->numel() > 0 && x->is_contiguous(kFormat) && mp::kind_of(*x) == at::kBFloat16 &&
         weight->dim() == 4 && weight->size(1) == x->size(1) && weight->size(2) == 3 && weight->size(3) == 3 &&
         weight->size(0) % 16 == 0 && weight->size(1) % 16 == 0 && (stride == 1 || stride == 2) && padding == 1;
}

// `bias` may be null.
const char* mp_conv(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias, int64_t stride,
                    int64_t padding, at::Tensor** y) {
  return mp::guarded("mp::conv", [&] {
    TORCH_CHECK(mp_can_conv(x, weight, stride, padding), "a map and weights that `can_conv` takes expected");
    *y = new at::Tensor(convolve(*x, *weight, bias == nullptr ? at::Tensor() : *bias, stride));
  });
}
}
