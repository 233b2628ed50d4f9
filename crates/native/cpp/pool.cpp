// Max pooling for inference: libtorch's also finds where each largest number stood, which only a gradient needs.

#include "boundary.h"
#include "dispatch.h"
#include "parallel.h"
#include "pool_kernels.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

extern "C" {

bool mp_can_max_pool(const at::Tensor* x) {
  const auto kind = x->scalar_type();
  return !c10::GradMode::is_enabled() && x->is_cpu() && x->dim() == 4 && x->numel() > 0 &&
         (kind == at::kFloat || kind == at::kBFloat16) && x->suggest_memory_format() == at::MemoryFormat::ChannelsLast;
}

// `height` and `width` are those of the result.
const char* mp_max_pool(const at::Tensor* x, int64_t kernel, int64_t stride, int64_t padding, int64_t height, int64_t width,
                        at::Tensor** y) {
  return mp::guarded("mp::max_pool", [&] {
    TORCH_CHECK(mp_can_max_pool(x), "a map of float32 or bfloat16 expected, channels-last, on the CPU and without gradients");
    // Every window must reach into the map, or it would have no largest number.
    const auto fits = [&](int64_t axis, int64_t count) {
      return count > 0 && (count - 1) * stride - padding < x->size(axis) && kernel > padding;
    };
    TORCH_CHECK(kernel > 0 && stride > 0 && padding >= 0 && fits(2, height) && fits(3, width), "windows of ", kernel,
                " with a stride of ", stride, " and a padding of ", padding, " do not give ", height, " x ", width, " of ",
                x->sizes());
    constexpr auto format = at::MemoryFormat::ChannelsLast;
    const auto input = x->contiguous(format);
    const mp::PoolShape shape{x->size(2), x->size(3), x->size(1), kernel, stride, padding, height, width};
    auto result = at::empty({x->size(0), x->size(1), height, width}, x->options(), format);
    const auto run = [&]<typename Number>() {
      mp::parallel_for(x->size(0) * height, [&](int64_t row) {
        mp::max_pool_row(mp::numbers<const Number>(input) + row / height * shape.height * shape.width * shape.channels,
                         mp::numbers<Number>(result) + row * width * shape.channels, row % height, shape);
      });
    };
    if (x->scalar_type() == at::kFloat) {
      run.operator()<float>();
    } else {
      run.operator()<mp::bf16>();
    }
    *y = new at::Tensor(std::move(result));
  });
}
}
