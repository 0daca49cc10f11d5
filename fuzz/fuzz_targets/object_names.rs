//! Feeds arbitrary bytes to the parser: object names.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::object_names(data));
