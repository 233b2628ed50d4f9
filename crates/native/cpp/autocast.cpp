// CPU autocast, which tch binds for CUDA only and without a choice of type.

#include <ATen/autocast_mode.h>

extern "C" {

// Turns autocast to bfloat16 on for this thread; returns whether it was on before.
bool mp_autocast_cpu_enter() {
  const bool before = at::autocast::is_autocast_enabled(at::kCPU);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::increment_nesting();
  return before;
}

// Restores the state before; the outermost exit drops the bfloat16 copies of the weights, which the next optimiser step
// would make stale.
void mp_autocast_cpu_exit(bool before) {
  if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  at::autocast::set_autocast_enabled(at::kCPU, before);
}
}
