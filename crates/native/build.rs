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
        build(&["cuda/device", "cuda/graph"]).compile("mp_native_cuda");
        println!("cargo::rustc-link-search=native={}", lib.display());
        println!("cargo::rustc-link-lib=dylib=torch_cuda");
        println!("cargo::rustc-link-lib=dylib=c10_cuda");
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
