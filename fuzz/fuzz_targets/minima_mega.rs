//! Feeds arbitrary bytes to the parser: minima_mega.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::minima_mega(data));
