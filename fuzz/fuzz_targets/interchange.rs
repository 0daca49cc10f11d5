//! Feeds arbitrary bytes to the parser: EIP-3076 document.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::interchange(data));
