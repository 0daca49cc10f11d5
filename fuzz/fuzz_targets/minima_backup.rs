//! Feeds arbitrary bytes to the parser: minima_backup.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::minima_backup(data));
