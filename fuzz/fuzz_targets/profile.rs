//! Feeds arbitrary bytes to the parser: profile.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::profile(data));
