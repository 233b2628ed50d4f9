// CUDA graphs: work that is recorded once, and then started as a whole.

#include "../boundary.h"
#include "runtime.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>

#include <memory>

struct mp_graph {
  at::cuda::CUDAGraph graph{/*keep_graph=*/true};
  at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
};

extern "C" {

const char* mp_graph_begin(mp_graph** result) {
  return mp::guarded("mp::graph_begin", [&] {
    auto graph = std::make_unique<mp_graph>();
    // What is still freed on other streams must not be asked about in the middle of a capture.
    c10::cuda::device_synchronize();
    graph->graph.capture_begin(graph->pool);
    *result = graph.release();
  });
}

const char* mp_graph_end(mp_graph* graph) {
  return mp::guarded("mp::graph_end", [&] {
    graph->graph.capture_end();
    graph->graph.instantiate();
  });
}

// Ends a capture that something went wrong in.
void mp_graph_abandon(mp_graph* graph) {
  try {
    graph->graph.capture_end();
  } catch (const std::exception&) {
    // libtorch leaves the pool open where the stream's capture was void.
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(c10::cuda::current_device(), graph->pool);
    } catch (const std::exception&) {
    }
  }
  try {
    static_cast<void>(mp::runtime<cudaError_t()>("cudaGetLastError")());
  } catch (const std::exception&) {
  }
}

const char* mp_graph_replay(mp_graph* graph) {
  return mp::guarded("mp::graph_replay", [&] { graph->graph.replay(); });
}

// Writes how many nodes it has: kernels, copies and fills.
const char* mp_graph_nodes(mp_graph* graph, size_t* nodes) {
  return mp::guarded("mp::graph_nodes", [&] {
    *nodes = 0;
    mp::check(mp::runtime<cudaError_t(cudaGraph_t, cudaGraphNode_t*, size_t*)>("cudaGraphGetNodes")(
                  graph->graph.raw_cuda_graph(), nullptr, nodes),
              "cudaGraphGetNodes");
  });
}

void mp_graph_free(mp_graph* graph) { delete graph; }
}
