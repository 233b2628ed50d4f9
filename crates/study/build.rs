//! Lets everything that this package runs find libtorch, and tells it which version that is.
use std::path::Path;

fn main() {
    mp_link::libtorch_rpath();
    let version = std::env::var("DEP_TCH_LIBTORCH_LIB").ok().and_then(|lib| {
        let file = Path::new(&lib).parent()?.join("build-version");
        println!("cargo:rerun-if-changed={}", file.display());
        std::fs::read_to_string(file).ok()
    });
    println!("cargo:rustc-env=LIBTORCH_VERSION={}", version.as_deref().map_or("unknown", str::trim));
}
