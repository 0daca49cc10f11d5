//! Feeds arbitrary bytes to the parser: snapshot.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::snapshot(data));
