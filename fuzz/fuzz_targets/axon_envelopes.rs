//! Feeds arbitrary bytes to the parser: envelopes and keys of Axon.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::axon::envelopes(data));
