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
        build
    };
    build(&[
        "autocast",
        "conv",
        "conv_kernels",
        "conv_norm",
        "direct_conv",
        "gate_inputs",
        "gate_kernels",
        "memory",
        "mix",
        "mix_kernels",
        "norm",
        "norm_kernels",
        "optim",
        "pool",
        "pool_kernels",
        "profile",
        "route",
        "waits",
    ])
    .compile("mp_native");
    build(&["step_kernels"])
        // See step_kernels.h. A root that need not set `errno` is one instruction.
        .flags(["-ffp-contract=off", "-fno-math-errno"])
        .compile("mp_native_step");
}
