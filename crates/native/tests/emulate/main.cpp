// The CUDA kernels' own text as plain C++, on a GPU of coroutines, against their definitions: built and run by ../emulate.rs. Ends
// with 0 where all agree.

#include <cstdio>

void check_gate_inputs();
void check_mix();
void check_norm();
void check_route();

int main() {
  check_gate_inputs();
  check_mix();
  check_norm();
  check_route();
  std::puts("all CUDA kernels agree with their definitions");
}
