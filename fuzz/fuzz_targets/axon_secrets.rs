//! Feeds arbitrary bytes to the parser: Fernet tokens and environment files of Axon.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::axon::secrets(data));
