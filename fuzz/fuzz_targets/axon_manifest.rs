//! Feeds arbitrary bytes to the parser: content manifests of Axon.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::axon::manifest(data));
