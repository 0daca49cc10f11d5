//! Feeds arbitrary bytes to the parser: envelope.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::envelope(data));
