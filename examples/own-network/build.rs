//! Lets everything that this package runs find libtorch.
fn main() {
    mp_link::libtorch_rpath();
}
