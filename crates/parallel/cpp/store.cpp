// c10d's TCPStore: where processes leave words for each other.

#include "boundary.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "handles.h"

#include <cstdlib>

using mp::guarded;
using mp::StoreHandle;

namespace {

// c10d writes to standard error what comes back as an error too, and that names of hosts cannot be looked up. Who sets
// TORCH_CPP_LOG_LEVEL wants to see it.
void quieten() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
    FLAGS_caffe2_log_level = 3;  // what ends the process
  }
}

}  // namespace

extern "C" const char* mp_store_open(const char* host, uint16_t port, bool serves, const char* prefix, int64_t timeout_ms,
                                     StoreHandle** out) {
  return guarded([&] {
    quieten();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    auto tcp = c10::make_intrusive<c10d::TCPStore>(host, options);
    *out = new StoreHandle{c10::make_intrusive<c10d::PrefixStore>(prefix, std::move(tcp))};
  });
}

// Serves the store on `port`, or on a free one where that is 0, and says on which.
extern "C" const char* mp_server_open(uint16_t port, uint16_t* out_port, StoreHandle** out) {
  return guarded([&] {
    quieten();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = true;
    options.waitWorkers = false;
    auto tcp = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
    *out_port = tcp->getPort();
    *out = new StoreHandle{std::move(tcp)};
  });
}

extern "C" void mp_store_free(StoreHandle* store) {
  delete store;
}

extern "C" const char* mp_store_set(StoreHandle* store, const char* key, const uint8_t* bytes, size_t count) {
  return guarded([&] { store->store->set(key, std::vector<uint8_t>(bytes, bytes + count)); });
}

// Whether the key is there; does not wait.
extern "C" const char* mp_store_has(StoreHandle* store, const char* key, bool* out) {
  return guarded([&] { *out = store->store->check({key}); });
}

// Waits for the key and gives its bytes to `take`.
extern "C" const char* mp_store_get(StoreHandle* store, const char* key, int64_t timeout_ms, void* into,
                                    void (*take)(void* into, const uint8_t* bytes, size_t count)) {
  return guarded([&] {
    store->store->wait({key}, std::chrono::milliseconds(timeout_ms));
    const auto bytes = store->store->get(key);
    take(into, bytes.data(), bytes.size());
  });
}

extern "C" const char* mp_store_add(StoreHandle* store, const char* key, int64_t amount, int64_t* out) {
  return guarded([&] { *out = store->store->add(key, amount); });
}
