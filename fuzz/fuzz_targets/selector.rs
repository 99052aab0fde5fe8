//! What a subscriber may ask for and a token may grant, and the topic that it is compared with.

#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::selector(input));
