// Work on libtorch's own threads.
//
// `at::parallel_for` is a template: where libtorch was built with OpenMP it becomes an OpenMP region of whoever compiles it,
// and compiled without OpenMP it silently runs on one thread. An iterator over a tensor runs its loop by the
// `at::parallel_for` that is compiled into libtorch: on its threads, as many as it was told, with no OpenMP of our own.

#pragma once

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

#include <cstdint>

namespace mp {

// `body(index)` for 0 to `count` - 1; each thread takes a contiguous part. Nested calls run where they are.
template <typename Body>
void parallel_for(int64_t count, const Body& body) {
  if (count <= 1 || at::get_num_threads() == 1 || at::in_parallel_region()) {
    for (int64_t index = 0; index < count; ++index) body(index);
    return;
  }
  // One byte stands for each index; its place is the index.
  const auto places = at::empty({count}, at::kByte);
  auto iterator = at::TensorIterator::borrowing_nullary_op(places);
  const auto* first = static_cast<const char*>(places.const_data_ptr());
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t columns, int64_t rows) {
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t column = 0; column < columns; ++column) {
            body(data[0] + row * strides[1] + column * strides[0] - first);
          }
        }
      },
      /*grain_size=*/1);
}

}  // namespace mp
