//! The properties that the fuzz targets check, for the seeds and some thousand random changes of
//! them.
//!
//! So that the targets cannot rot between two runs of the fuzzer. A failure prints the input;
//! `FANTAIL_SEED` chooses other changes.

#[path = "../fuzz/properties.rs"]
mod properties;

use std::path::Path;

/// Changed inputs for each seed.
const CHANGES: usize = 2_000;

/// Most changes of one input.
const EDITS_MAX: usize = 8;

#[test]
fn resp() {
    smoke("resp", properties::resp);
}

#[test]
fn publish_json() {
    smoke("publish_json", properties::publish_json);
}

#[test]
fn last_event_id() {
    smoke("last_event_id", properties::last_event_id);
}

#[test]
fn idempotency_key() {
    smoke("idempotency_key", properties::idempotency_key);
}

#[test]
fn origin() {
    smoke("origin", properties::origin);
}

#[test]
fn request() {
    smoke("request", properties::request);
}

#[test]
fn selector() {
    smoke("selector", properties::selector);
}

#[test]
fn state() {
    smoke("state", properties::state);
}

#[test]
fn token() {
    smoke("token", properties::token);
}

#[test]
fn log_entry() {
    smoke("log_entry", properties::log_entry);
}

#[test]
fn roster_line() {
    smoke("roster_line", properties::roster_line);
}

#[test]
fn channel_message() {
    smoke("channel_message", properties::channel_message);
}

#[test]
fn channel_wire() {
    smoke("channel_wire", properties::channel_wire);
}

fn smoke(target: &str, property: fn(&[u8])) {
    let number = std::env::var("FANTAIL_SEED").map_or(1, |text| text.parse().expect("a number"));
    let mut random = fastrand::Rng::with_seed(number);
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "fuzz/seeds/{target} has seeds");
    for seed in &seeds {
        check(property, seed, number);
        for _ in 0..CHANGES {
            check(property, &changed(seed, &seeds, &mut random), number);
        }
    }
}

fn check(property: fn(&[u8]), input: &[u8], number: u64) {
    let outcome = std::panic::catch_unwind(|| property(input));
    assert!(
        outcome.is_ok(),
        "FANTAIL_SEED={number}: b\"{}\"",
        input.escape_ascii()
    );
}

/// The files of a seed directory, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .expect("a directory of seeds")
        .map(|entry| entry.expect("a seed").path())
        .collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a seed");
    paths.into_iter().map(read).collect()
}

/// A seed with bytes changed, cut out, doubled, or copied from another one.
fn changed(seed: &[u8], seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..random.usize(1..=EDITS_MAX) {
        let at = random.usize(0..=input.len());
        let end = random.usize(at..=input.len());
        match random.u8(0..5) {
            0 => input.insert(at, random.u8(..)),
            1 => drop(input.drain(at..end)),
            2 => input.extend_from_within(at..end),
            3 => {
                let other = &seeds[random.usize(0..seeds.len())];
                let from = random.usize(0..=other.len());
                input.splice(at..end, other[from..].iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.u8(0..8);
                }
            }
        }
    }
    input
}
