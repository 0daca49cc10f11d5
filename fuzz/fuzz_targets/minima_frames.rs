//! Feeds arbitrary bytes to the parser: minima_frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::minima_frames(data));
