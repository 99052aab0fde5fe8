//! The value of `Idempotency-Key`, as any client may send it.

#![no_main]

#[path = "../properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::idempotency_key(input));
