//! Compiles the C++ beside libtorch, against the very libtorch that `torch-sys` links.

use std::path::PathBuf;

fn main() {
    mp_link::libtorch_rpath();
    let lib = mp_link::libtorch_lib_dir();
    // A user's own layout (LIBTORCH_INCLUDE) wins, as it does in torch-sys; else `include` lies beside `lib`.
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    let root = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    let include = root.join("include");
    println!("cargo::rerun-if-changed=cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .files(
            ["autocast", "gate_kernels", "memory", "mix", "mix_kernels", "norm", "norm_kernels", "profile", "route"]
                .map(|file| format!("cpp/{file}.cpp")),
        )
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
        .extra_warnings(true)
        .compile("mp_native");
}
