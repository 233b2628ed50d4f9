//! Compiles the C++ beside libtorch, against the very libtorch that `torch-sys` links.

use std::path::{Path, PathBuf};

fn main() {
    mp_link::libtorch_rpath();
    let lib = mp_link::libtorch_lib_dir();
    // A user's own layout (LIBTORCH_INCLUDE) wins, as it does in torch-sys; else `include` lies beside `lib`.
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let root = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    let include = root.join("include");
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-changed=cuda");
    println!("cargo::rustc-check-cfg=cfg(mp_cuda)");
    let cuda = cuda_headers(&lib);
    // For the test that builds the kernels once more, under sanitizers.
    println!("cargo::rustc-env=MP_NATIVE_TARGET={}", std::env::var("TARGET").expect("cargo sets TARGET"));
    let build = |files: &[&str]| {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++20")
            .files(files.iter().map(|file| format!("cpp/{file}.cpp")))
            // `#pragma omp simd` alone, without the OpenMP runtime: threads are libtorch's.
            .flag("-fopenmp-simd")
            // Vectors are passed between inlined functions only, so that no call depends on how.
            .flag("-Wno-psabi")
            .opt_level(3)
            .flag("-isystem")
            .flag(include.to_string_lossy().as_ref())
            .flag("-isystem")
            .flag(include.join("torch/csrc/api/include").to_string_lossy().as_ref())
            .warnings(true)
            .extra_warnings(true);
        if let Some(headers) = &cuda {
            build.define("MP_CUDA", None).flag("-isystem").flag(headers.to_string_lossy().as_ref());
        }
        build
    };
    build(&[
        "autocast",
        "conv",
        "conv_kernels",
        "conv_norm",
        "direct_conv",
        "fused_steps",
        "gate_inputs",
        "gate_kernels",
        "libtorch",
        "memory",
        "mix",
        "mix_kernels",
        "norm",
        "norm_kernels",
        "numerics",
        "optim",
        "pool",
        "pool_kernels",
        "profile",
        "route",
        "waits",
    ])
    .compile("mp_native");
    if cuda.is_some() {
        println!("cargo::rustc-cfg=mp_cuda");
        build(&["cuda/device", "cuda/gate_inputs", "cuda/graph", "cuda/jit", "cuda/mix", "cuda/norm", "cuda/route"])
            .include(embedded_kernels())
            .compile("mp_native_cuda");
        println!("cargo::rustc-link-search=native={}", lib.display());
        println!("cargo::rustc-link-lib=dylib=torch_cuda");
        println!("cargo::rustc-link-lib=dylib=c10_cuda");
    } else {
        build(&["cuda/absent"]).compile("mp_native_cuda");
    }
    build(&["step_kernels"])
        // See step_kernels.h. A root that need not set `errno` is one instruction.
        .flags(["-ffp-contract=off", "-fno-math-errno"])
        .compile("mp_native_step");
}

/// The folder of CUDA's headers, for a libtorch with CUDA: where `CUDA_HOME` says, or in the packages that PyTorch's wheel comes
/// with.
fn cuda_headers(lib: &Path) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    if !lib.join("libtorch_cuda.so").exists() {
        return None;
    }
    let home = std::env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("include"));
    let packages = lib.join("../../nvidia");
    let of_packages = ["cu13", "cuda_runtime"].map(|package| packages.join(package).join("include"));
    let found = home.into_iter().chain(of_packages).find(|folder| folder.join("cuda_runtime_api.h").exists());
    if found.is_none() {
        println!(
            "cargo::warning=this libtorch has CUDA, but cuda_runtime_api.h is neither in CUDA_HOME/include nor in {}: \
             built without CUDA graphs, uploads and kernels of our own",
            packages.display()
        );
    }
    found
}

/// What the text of kernels includes.
const KERNEL_HEADERS: [&str; 2] = ["calls.cuh", "numbers.cuh"];

/// Kernels in CUDA C++, in the order of `Source` in `cpp/cuda/jit.h`.
const KERNELS: [&str; 4] = ["norm.cu", "mix.cu", "gate_inputs.cu", "route.cu"];

/// Writes `kernel_sources.h`, which has the kernels' text for the compiler that runs when they are called, to the folder that it
/// gives.
fn embedded_kernels() -> PathBuf {
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let literal = |file: &str| {
        let text = std::fs::read_to_string(Path::new("cuda").join(file)).expect("the text of a kernel");
        format!("R\"kernel({text})kernel\"")
    };
    let list =
        |files: &[&str], of: &dyn Fn(&str) -> String| files.iter().map(|file| of(file)).collect::<Vec<_>>().join(",\n");
    let name = |file: &str| format!("\"{file}\"");
    let text = format!(
        "#pragma once\n\
         struct KernelSource {{ const char* name; const char* text; }};\n\
         constexpr const char* kHeaderNames[] = {{{}}};\n\
         constexpr const char* kHeaderTexts[] = {{{}}};\n\
         constexpr KernelSource kKernels[] = {{{}}};\n",
        list(&KERNEL_HEADERS, &name),
        list(&KERNEL_HEADERS, &literal),
        list(&KERNELS, &|file| format!("{{{}, {}}}", name(file), literal(file))),
    );
    std::fs::write(folder.join("kernel_sources.h"), text).expect("OUT_DIR takes files");
    folder
}
