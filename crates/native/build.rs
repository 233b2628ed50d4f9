//! Builds nothing yet.
fn main() {
    mp_link::libtorch_rpath();
}
