//! Feeds arbitrary bytes to the parser: control.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::control(data));
