//! Build-script helper: lets a binary, test, bench or example find libtorch when it runs.
//!
//! Cargo passes link arguments only from a package's own build script, so every package with something to run
//! needs a `build.rs`. With `torch-sys` among its dependencies and this crate among its build dependencies it is:
//!
//! ```no_run
//! mp_link::libtorch_rpath();
//! ```
//!
//! Source of the folder: the `libtorch_lib` metadata of `torch-sys` (`links = "tch"`), which Cargo hands only to
//! packages that depend on `torch-sys` directly.

use std::path::PathBuf;

/// The folder of libtorch's shared libraries, as `torch-sys` found it.
///
/// # Panics
/// Outside a build script, or in one of a package that does not depend on `torch-sys` directly.
pub fn libtorch_lib_dir() -> PathBuf {
    println!("cargo::rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    std::env::var_os("DEP_TCH_LIBTORCH_LIB")
        .map(PathBuf::from)
        .expect("DEP_TCH_LIBTORCH_LIB is not set: add `torch-sys` to this package's [dependencies]")
}

/// Links everything that this package runs so that it finds libtorch from any folder, with no `LD_LIBRARY_PATH`.
///
/// # Panics
/// As [`libtorch_lib_dir`].
pub fn libtorch_rpath() {
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", libtorch_lib_dir().display());
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // The linker drops `libtorch` as unused, and with it, silently, the CUDA back end that it registers.
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg=-ltorch");
    }
}
