// See jit.h. NVRTC and the driver are looked up in the libraries that libtorch has loaded or that lie beside them: linked, they
// would have to be found before libtorch says where they are, and a machine without a GPU has no driver.

#include "jit.h"

#include "../boundary.h"
#include "kernel_sources.h"
#include "runtime.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cuda.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

namespace mp {
namespace {

// NVRTC's own header comes in a package of its own; its functions are these.
using Program = struct ProgramOfNvrtc*;

struct Compiler {
  int (*create)(Program*, const char* source, const char* name, int headers, const char* const* texts,
                const char* const* names);
  int (*compile)(Program, int count, const char* const* options);
  int (*log_size)(Program, size_t*);
  int (*log)(Program, char*);
  int (*cubin_size)(Program, size_t*);
  int (*cubin)(Program, char*);
  int (*destroy)(Program*);
};

struct Driver {
  CUresult (*load)(CUmodule*, const void*);
  CUresult (*function)(CUfunction*, CUmodule, const char*);
  CUresult (*launch)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**,
                     void**);
  CUresult (*current)(CUcontext*);
  CUresult (*retain)(CUcontext*, CUdevice);
  CUresult (*set)(CUcontext);
};

template <typename Function>
bool find(void* library, const char* name, Function*& to) {
  to = reinterpret_cast<Function*>(dlsym(library, name));
  return to != nullptr;
}

// The folder of the library that has `symbol`, with a slash.
std::string folder_of(void* symbol) {
  Dl_info found{};
  if (symbol == nullptr || dladdr(symbol, &found) == 0 || found.dli_fname == nullptr) {
    return "";
  }
  const std::string path = found.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

// NVRTC opens its second part by name, wherever the loader looks; it is found beside the first.
void open_builtins(const std::string& folder) {
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "." : folder, none)) {
    if (entry.path().filename().string().starts_with("libnvrtc-builtins.so.")) {
      dlopen(entry.path().c_str(), RTLD_NOW | RTLD_GLOBAL);
    }
  }
}

Compiler open_compiler() {
  const std::string name = "libnvrtc.so." + std::to_string(CUDART_VERSION / 1000);
  void* const runtime = dlsym(RTLD_DEFAULT, "cudaMemGetInfo");
  void* const libtorch = dlsym(RTLD_DEFAULT, "_ZN3c104cuda12device_countEv");
  // Beside the runtime; what libtorch has of it, whose own needs include NVRTC; wherever the loader looks.
  for (const auto& path : {folder_of(runtime) + name, folder_of(libtorch) + "libcaffe2_nvrtc.so", name}) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    Compiler found{};
    if (library != nullptr && find(library, "nvrtcCreateProgram", found.create) &&
        find(library, "nvrtcCompileProgram", found.compile) &&
        find(library, "nvrtcGetProgramLogSize", found.log_size) && find(library, "nvrtcGetProgramLog", found.log) &&
        find(library, "nvrtcGetCUBINSize", found.cubin_size) && find(library, "nvrtcGetCUBIN", found.cubin) &&
        find(library, "nvrtcDestroyProgram", found.destroy)) {
      open_builtins(folder_of(reinterpret_cast<void*>(found.create)));
      return found;
    }
  }
  TORCH_CHECK(false, "no ", name, " is beside the CUDA runtime, beside libtorch or where the loader looks");
}

const Compiler& compiler() {
  static const Compiler opened = open_compiler();
  return opened;
}

Driver open_driver() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  Driver found{};
  TORCH_CHECK(library != nullptr && find(library, "cuModuleLoadData", found.load) &&
                  find(library, "cuModuleGetFunction", found.function) && find(library, "cuLaunchKernel", found.launch) &&
                  find(library, "cuCtxGetCurrent", found.current) &&
                  find(library, "cuDevicePrimaryCtxRetain", found.retain) &&
                  find(library, "cuCtxSetCurrent", found.set),
              "there is no driver of a GPU, libcuda.so.1");
  return found;
}

const Driver& driver() {
  static const Driver opened = open_driver();
  return opened;
}

void check(CUresult result, const char* what) {
  TORCH_CHECK(result == CUDA_SUCCESS, what, " failed with CUDA driver error ", static_cast<int>(result));
}

// A thread that only the backward pass runs on has no context until it is told.
void enter_context(c10::DeviceIndex device) {
  CUcontext context = nullptr;
  check(driver().current(&context), "cuCtxGetCurrent");
  if (context == nullptr) {
    check(driver().retain(&context, device), "cuDevicePrimaryCtxRetain");
    check(driver().set(context), "cuCtxSetCurrent");
  }
}

int format_of(at::ScalarType kind) {
  switch (kind) {
    case at::kFloat: return 0;
    case at::kBFloat16: return 1;
    case at::kHalf: return 2;
    default: TORCH_CHECK(false, "float32, bfloat16 or float16 expected, not ", kind);
  }
}

// The device's machine code of one variant.
std::string compiled(const Variant& variant, c10::DeviceIndex device) {
  const auto* const properties = at::cuda::getDeviceProperties(device);
  const auto define = [](const char* name, int value) {
    return std::string("-DMP_") + name + "=" + std::to_string(value);
  };
  const std::vector<std::string> options = {
      "--gpu-architecture=sm_" + std::to_string(properties->major * 10 + properties->minor),
      "--std=c++17",
      define("FORMAT", format_of(variant.kind)),
      define("WIDTH", variant.width),
      define("SOURCES", variant.sources),
      define("TARGETS", variant.targets)};
  std::vector<const char*> arguments;
  for (const auto& option : options) {
    arguments.push_back(option.c_str());
  }
  const auto& [name, text] = kKernels[static_cast<size_t>(variant.source)];
  Program program = nullptr;
  TORCH_CHECK(compiler().create(&program, text, name, static_cast<int>(std::size(kHeaderTexts)), kHeaderTexts,
                                kHeaderNames) == 0,
              "NVRTC does not take ", name);
  const int result = compiler().compile(program, static_cast<int>(arguments.size()), arguments.data());
  std::string code;
  size_t size = 0;
  if (result == 0) {
    compiler().cubin_size(program, &size);
    code.resize(size);
    compiler().cubin(program, code.data());
  } else if (compiler().log_size(program, &size) == 0 && size > 0) {
    code.resize(size);
    compiler().log(program, code.data());
  }
  compiler().destroy(&program);
  TORCH_CHECK(result == 0, "NVRTC does not compile ", name, " for ", options[0], ": error ", result, ": ",
              code.substr(0, code.find('\n')));
  return code;
}

// What is compiled, and the memory that calls share.
struct Loaded {
  CUmodule module = nullptr;
  std::map<std::string, CUfunction, std::less<>> functions;
};

using Key = std::tuple<c10::DeviceIndex, Source, at::ScalarType, int, int, int>;

struct Shared {
  std::mutex mutex;
  std::map<Key, Loaded> loaded;
  std::map<c10::DeviceIndex, at::Tensor> counters;
  std::map<std::pair<c10::DeviceIndex, cudaStream_t>, size_t> streams;
};

// Never freed: what it holds may outlive the driver.
Shared& shared() {
  static auto* const kept = new Shared;
  return *kept;
}

CUfunction function(const Variant& variant, const char* kernel, c10::DeviceIndex device) {
  const std::lock_guard lock(shared().mutex);
  auto& loaded = shared().loaded[{device, variant.source, variant.kind, variant.width, variant.sources, variant.targets}];
  if (loaded.module == nullptr) {
    const auto code = compiled(variant, device);
    check(driver().load(&loaded.module, code.data()), "cuModuleLoadData");
  }
  const auto known = loaded.functions.find(kernel);
  if (known != loaded.functions.end()) {
    return known->second;
  }
  CUfunction found = nullptr;
  check(driver().function(&found, loaded.module, kernel), "cuModuleGetFunction");
  loaded.functions.emplace(kernel, found);
  return found;
}

// Streams that may call kernels with counters at a time: all that libtorch hands out for a device.
constexpr size_t kStreams = 256;

}  // namespace

int width_of(int64_t count, std::initializer_list<const at::Tensor*> tensors) {
  int width = 8;
  while (count % width != 0) {
    width /= 2;
  }
  for (const auto* tensor : tensors) {
    if (tensor->defined()) {
      const auto place = reinterpret_cast<uintptr_t>(tensor->const_data_ptr());
      const auto aligned = [&] { return place % std::min<size_t>(16, width * tensor->element_size()) == 0; };
      while (!aligned()) {
        width /= 2;
      }
    }
  }
  return width;
}

int width_of(int64_t count, const std::vector<at::Tensor>& tensors) {
  int width = 8;
  for (const auto& tensor : tensors) {
    width = std::min(width, width_of(count, {&tensor}));
  }
  return width;
}

int multiprocessors(c10::DeviceIndex device) { return at::cuda::getDeviceProperties(device)->multiProcessorCount; }

unsigned* counters(c10::DeviceIndex device) {
  const auto stream = c10::cuda::getCurrentCUDAStream(device);
  const std::lock_guard lock(shared().mutex);
  auto& streams = shared().streams;
  const auto [place, _] = streams.try_emplace({device, stream.stream()}, streams.size() % kStreams);
  return static_cast<unsigned*>(shared().counters.at(device).data_ptr()) + place->second * kCounters;
}

void launch(const Variant& variant, const char* kernel, const Geometry& geometry, const void* call,
            c10::DeviceIndex device, unsigned room) {
  enter_context(device);
  const auto [grid, block] = geometry;
  void* arguments[] = {const_cast<void*>(call)};
  check(driver().launch(function(variant, kernel, device), grid.x, grid.y, grid.z, block.x, block.y, block.z, room,
                        c10::cuda::getCurrentCUDAStream(device).stream(), arguments, nullptr),
        kernel);
}

}  // namespace mp

extern "C" {

// Makes ready what calls on a device need, and compiles a kernel to see whether that works.
const char* mp_kernels_prepare(int device) {
  return mp::guarded("mp::kernels_prepare", [&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    const c10::DeviceGuard on(at::Device(at::kCUDA, index));
    mp::enter_context(index);
    static_cast<void>(mp::function({mp::Source::kMix, at::kFloat, 1, 1, 1}, "mix_forward", index));
    const std::lock_guard lock(mp::shared().mutex);
    if (!mp::shared().counters.contains(index)) {
      const auto zeros = at::zeros({static_cast<int64_t>(mp::kStreams) * mp::kCounters},
                                   at::TensorOptions().dtype(at::kInt).device(at::kCUDA, index));
      // Other streams will read it.
      c10::cuda::getCurrentCUDAStream(index).synchronize();
      mp::shared().counters.emplace(index, zeros);
    }
  });
}
}
