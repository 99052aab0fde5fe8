//! What a Redis server sends to a subscriber.

#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::channel_wire(input));
