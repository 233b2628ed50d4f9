fn main() {
    mp_link::libtorch_rpath();
}
