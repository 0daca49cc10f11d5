//! Feeds arbitrary bytes to the parser: journals of fence and holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::journals(data));
