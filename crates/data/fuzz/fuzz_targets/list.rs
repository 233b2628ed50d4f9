//! A table of pictures and their classes.
#![no_main]

#[path = "../../tests/corpus/parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = parsers::list(bytes);
});
