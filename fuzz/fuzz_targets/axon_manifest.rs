//! Feeds arbitrary bytes to the parser: content manifest of Axon.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::axon_manifest(data));
