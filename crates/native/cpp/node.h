// How nodes of the backward pass are owned: by `std::shared_ptr` in libtorch 2.11, by `c10::intrusive_ptr` in 2.13.

#pragma once

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <type_traits>

namespace mp {

template <typename N>
constexpr bool kIntrusive = std::is_base_of_v<c10::intrusive_ptr_target, N>;

// A new node.
template <typename N>
auto make_node() {
  if constexpr (kIntrusive<N>) {
    return c10::make_intrusive<N>();
  } else {
    // torch::autograd's, found by the argument's type: libtorch 2.13 has none.
    return std::shared_ptr<N>(new N(), [](auto* node) { deleteNode(node); });
  }
}

// Shared ownership of a node that has an owner.
template <typename N>
auto share(N* node) {
  if constexpr (kIntrusive<N>) {
    return c10::intrusive_ptr<N>::reclaim_copy(node);
  } else {
    return node->getptr();
  }
}

}  // namespace mp
