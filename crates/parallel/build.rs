//! Compiles the C++ beside c10d, against the very libtorch that `torch-sys` links.

use std::path::{Path, PathBuf};

fn main() {
    mp_link::libtorch_rpath();
    let lib = mp_link::libtorch_lib_dir();
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    println!("cargo::rerun-if-changed=cpp");
    // A user's own layout (LIBTORCH_INCLUDE) wins, as it does in torch-sys; else `include` lies beside `lib`.
    let root = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(|| lib.join(".."), PathBuf::from);
    let include = root.join("include");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        .files(["group", "nccl", "reducer", "store"].map(|file| format!("cpp/{file}.cpp")))
        .opt_level(2)
        .warnings(true)
        .extra_warnings(true);
    let mut system = |folder: &Path| {
        build.flag("-isystem").flag(folder.to_string_lossy().as_ref());
    };
    system(&include);
    system(&include.join("torch/csrc/api/include"));
    system(Path::new("cpp/stand_in"));
    if let Some(headers) = nccl_headers(&lib) {
        headers.iter().for_each(|folder| system(folder));
        build.define("MP_NCCL", None);
        println!("cargo::rustc-link-search=native={}", lib.display());
        println!("cargo::rustc-link-lib=dylib=torch_cuda");
    }
    build.compile("mp_parallel");
}

/// Where the headers of CUDA and NCCL are, if libtorch is a build for CUDA and they are found: in CUDA's own folder, or in the
/// packages that a PyTorch from the Python registry depends on, which lie beside it.
fn nccl_headers(lib: &Path) -> Option<Vec<PathBuf>> {
    if !lib.join("libtorch_cuda.so").exists() {
        return None;
    }
    let packages = lib.join("../../nvidia");
    let mut folders: Vec<PathBuf> = vec![packages.join("nccl/include")];
    if let Some(home) = std::env::var_os("CUDA_HOME") {
        folders.push(PathBuf::from(home).join("include"));
    }
    folders.extend(["cu13/include", "cuda_runtime/include"].map(|folder| packages.join(folder)));
    folders.extend(["/usr/local/cuda/include", "/usr/include"].map(PathBuf::from));
    let holds = |header: &str| folders.iter().find(|folder| folder.join(header).exists()).cloned();
    let (nccl, cuda) = (holds("nccl.h")?, holds("cuda_runtime_api.h")?);
    let library = [cuda.join("cccl")].into_iter().filter(|folder| folder.exists());
    Some([nccl, cuda.clone()].into_iter().chain(library).collect())
}
