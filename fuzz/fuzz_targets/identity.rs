//! Feeds arbitrary bytes to the parser: identity.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::identity(data));
