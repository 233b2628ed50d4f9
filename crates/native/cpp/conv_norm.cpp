// Convolution, batch norm by its running statistics, addition and ReLU as one primitive of oneDNN, for inference: the norm is
// folded into the weights, and the rest happens while the sums are still in registers. The weights are folded anew in each
// call, which costs little beside the convolution and cannot go stale.

#include "autocast.h"
#include "boundary.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;
using Pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                             at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view, Scalars,
                             std::optional<std::string_view>);
using PointwiseBinary = at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                   const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                   int64_t, std::string_view, std::optional<at::Scalar>, std::optional<std::string_view>,
                                   Scalars, std::optional<std::string_view>);

template <typename Signature>
auto find(const char* overload) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("mkldnn::_convolution_pointwise", overload)
      .template typed<Signature>();
}

bool takes(at::ScalarType kind) {
#if defined(__x86_64__)
  // oneDNN emulates bfloat16 with AVX-512, and not with less.
  return kind == at::kFloat || (kind == at::kBFloat16 && __builtin_cpu_supports("avx512bw"));
#else
  return kind == at::kFloat;
#endif
}

}  // namespace

extern "C" {

bool mp_can_conv_norm(const at::Tensor* x) {
  return !at::GradMode::is_enabled() && at::hasMKLDNN() && at::globalContext().userEnabledMkldnn() && x->is_cpu() &&
         x->dim() == 4 && x->numel() > 0 && x->suggest_memory_format() == at::MemoryFormat::ChannelsLast &&
         takes(mp::kind_of(*x));
}

// `bias` and `residual` may be null.
const char* mp_conv_norm(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias, int64_t stride,
                         int64_t padding, const at::Tensor* scale, const at::Tensor* offset,
                         const at::Tensor* mean, const at::Tensor* variance, double eps, const at::Tensor* residual,
                         bool relu, at::Tensor** y) {
  return mp::guarded("mp::conv_norm", [&] {
    TORCH_CHECK(mp_can_conv_norm(x), "a map of a float type expected, channels-last, on the CPU and without gradients");
    // The primitive itself looks at few of the sizes.
    TORCH_CHECK(weight->dim() == 4 && weight->size(1) == x->size(1), "weights [out, ", x->size(1),
                ", kernel, kernel] expected for a map ", x->sizes(), ", found ", weight->sizes());
    for (const auto* values : {bias, scale, offset, mean, variance}) {
      TORCH_CHECK(values == nullptr || (values->dim() == 1 && values->size(0) == weight->size(0)),
                  "one value for each of ", weight->size(0), " channels expected, found ", values->sizes());
    }
    const auto length = [&](int64_t axis) { return (x->size(axis) + 2 * padding - weight->size(axis)) / stride + 1; };
    const int64_t sizes[] = {x->size(0), weight->size(0), length(2), length(3)};
    TORCH_CHECK(residual == nullptr || residual->sizes() == at::IntArrayRef(sizes), "a residual ", at::IntArrayRef(sizes),
                " expected, found ", residual->sizes());
    const auto kind = mp::kind_of(*x);
    constexpr auto format = at::MemoryFormat::ChannelsLast;
    constexpr int64_t groups = 1;
    const auto factor = *scale * (*variance + eps).rsqrt();
    const auto folded = (*weight * factor.reshape({-1, 1, 1, 1})).to(kind).contiguous(format);
    const auto start = bias == nullptr ? -*mean : *bias - *mean;
    const auto added = (*offset + start * factor).to(kind);
    const auto input = x->to(kind).contiguous(format);
    const int64_t strides[] = {stride, stride}, paddings[] = {padding, padding}, dilations[] = {1, 1};
    if (residual == nullptr) {
      static const auto op = find<Pointwise>("");
      *y = new at::Tensor(op.call(input, folded, added, paddings, strides, dilations, groups, relu ? "relu" : "none",
                                  Scalars(), std::nullopt));
      return;
    }
    static const auto op = find<PointwiseBinary>("binary");
    const auto after = relu ? std::optional<std::string_view>("relu") : std::nullopt;
    *y = new at::Tensor(op.call(input, residual->to(kind).contiguous(format), folded, added, paddings, strides, dilations,
                                groups, "add", at::Scalar(1), after, Scalars(), std::nullopt));
  });
}
}
