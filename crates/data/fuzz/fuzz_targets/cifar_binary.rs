//! CIFAR-10 and CIFAR-100 binary files.
#![no_main]

#[path = "../../tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parsers::cifar_binary(bytes);
});
