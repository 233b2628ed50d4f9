// Autocast, which tch binds for CUDA only and without a choice of type.

#include <ATen/autocast_mode.h>

#include <cstdint>

namespace {

at::DeviceType device(bool cuda) { return cuda ? at::kCUDA : at::kCPU; }

}  // namespace

extern "C" {

// Turns autocast to `kind` on for this thread and kind of device, or off where `on` is false; returns whether it was on before,
// and writes the type that it had.
bool mp_autocast_enter(bool cuda, bool on, int8_t kind, int8_t* kind_before) {
  const bool before = at::autocast::is_autocast_enabled(device(cuda));
  *kind_before = static_cast<int8_t>(at::autocast::get_autocast_dtype(device(cuda)));
  if (on) {
    at::autocast::set_autocast_dtype(device(cuda), static_cast<at::ScalarType>(kind));
  }
  at::autocast::set_autocast_enabled(device(cuda), on);
  at::autocast::increment_nesting();
  return before;
}

// Restores the state before; the outermost exit drops the narrow copies of the weights, which the next optimiser step would make
// stale.
void mp_autocast_exit(bool cuda, bool before, int8_t kind_before) {
  if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  at::autocast::set_autocast_dtype(device(cuda), static_cast<at::ScalarType>(kind_before));
  at::autocast::set_autocast_enabled(device(cuda), before);
}
}
