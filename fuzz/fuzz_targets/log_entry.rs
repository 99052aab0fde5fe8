//! The fields of an entry of the log, as any application may write them.

#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::log_entry(input));
