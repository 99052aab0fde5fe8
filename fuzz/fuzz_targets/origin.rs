//! What a stranger may send as a host or an origin, and what an operator may list.

#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::origin(input));
