// Parameters that are moved together, each with what its optimiser remembers about it.

#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstddef>
#include <vector>

namespace mp {

constexpr size_t kMaxMemory = 2;

struct Parameter {
  at::Tensor tensor;
  std::array<at::Tensor, kMaxMemory> memory;
  size_t memories;
  bool decays;
};

// A parameter that takes part in a pass over the CPU's memory: where its numbers are.
struct Job {
  at::ScalarType kind;
  void* numbers;
  void* gradient;
  std::array<void*, kMaxMemory> memory;
  bool decays;
  int64_t count;
  int64_t first_tile;
};

}  // namespace mp

// The parameters, with room for the jobs of a pass that is kept from one pass to the next.
struct mp_parameters {
  std::vector<mp::Parameter> parameters;
  std::vector<mp::Job> jobs;
  std::vector<double> sums;
  int64_t tiles = 0;
  // Gradients that are given back after they were dropped.
  std::vector<at::Tensor> kept;
  // Whether no parameter is a job.
  bool leave_all = false;
};
