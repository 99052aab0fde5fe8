//! What a stranger may send as a token, and what its claims may say.

#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::token(input));
