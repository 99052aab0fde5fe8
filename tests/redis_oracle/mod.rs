//! The same bytes to a `redis-server` and to a node: the answers may differ only as
//! `docs/PROTOCOL.md` describes.
//!
//! Each exchange has a connection of its own, so every case starts without state except for topics;
//! each has its own.

/// The commands, as tables.
mod cases;
/// Intended differences.
mod differences;
/// Exchanges with passwords and users on both sides.
mod guarded;
/// Random sequences of commands.
mod random;
/// Both servers, and a conversation with each.
mod servers;

use servers::{Answer, Pair};

/// Both sides answer the same.
fn same(pair: &Pair, bytes: &[u8], problems: &mut Vec<String>) {
    let (redis, node) = pair.ask(bytes);
    if redis != node {
        problems.push(format!(
            "{}\n    redis: {redis}\n     node: {node}",
            bytes.escape_ascii()
        ));
    }
}

/// Both sides answer differently; a difference that is gone has to be forgotten.
fn different(pair: &Pair, bytes: &[u8], problems: &mut Vec<String>) {
    let (redis, node) = pair.ask(bytes);
    if redis == node {
        problems.push(format!(
            "{}\n    no difference any more: {redis}",
            bytes.escape_ascii()
        ));
    }
}

fn no_problems(pair: &Pair, problems: &[String]) {
    assert!(
        problems.is_empty(),
        "{} answers differ from those of {}:\n{}",
        problems.len(),
        pair.version(),
        problems.join("\n")
    );
}

#[test]
fn commands_are_answered_as_redis_answers_them() {
    let pair = Pair::open();
    let mut problems = Vec::new();
    for (number, script) in cases::SAME.iter().enumerate() {
        let inline = cases::with_topic(script, &format!("inline-{number}"));
        same(&pair, &cases::inline(&inline), &mut problems);
        let arrays = cases::with_topic(script, &format!("arrays-{number}"));
        same(&pair, &cases::arrays(&arrays), &mut problems);
    }
    no_problems(&pair, &problems);
}

#[test]
fn bytes_are_understood_as_redis_understands_them() {
    let pair = Pair::open();
    let mut problems = Vec::new();
    for bytes in cases::RAW {
        same(&pair, bytes, &mut problems);
    }
    for bytes in cases::long() {
        same(&pair, &bytes, &mut problems);
    }
    no_problems(&pair, &problems);
}

#[test]
fn commands_in_single_bytes_are_answered_as_redis_answers_them() {
    let pair = Pair::open();
    for (number, script) in cases::IN_PIECES.iter().enumerate() {
        for (form, encode) in [
            ("i", cases::inline as fn(&str) -> Vec<u8>),
            ("a", cases::arrays),
        ] {
            let whole = cases::with_topic(script, &format!("whole-{number}{form}"));
            let whole = pair.ask(&encode(&whole));
            let pieces = cases::with_topic(script, &format!("piece-{number}{form}"));
            let pieces = pair.ask_in_pieces(&encode(&pieces), 1);
            assert_eq!(pieces.0, pieces.1, "{script}");
            assert_eq!(whole, pieces, "{script}");
        }
    }
}

#[test]
fn intended_differences_are_documented_and_still_differ() {
    let protocol = include_str!("../../docs/PROTOCOL.md");
    let (_, differences) = protocol
        .split_once("### What is different from Redis")
        .expect("a chapter");
    let pair = Pair::open();
    let mut problems = Vec::new();
    let mut topics = 0;
    for (row, scripts) in differences::DIFFERENT.iter() {
        let row = format!("\n| {row} |");
        if !differences.contains(&row) {
            problems.push(format!("docs/PROTOCOL.md has no row{row}"));
        }
        for script in *scripts {
            topics += 1;
            let script = cases::with_topic(script, &format!("different-{topics}"));
            different(&pair, &cases::inline(&script), &mut problems);
        }
    }
    for (row, all) in differences::DIFFERENT_BYTES {
        assert!(differences.contains(&format!("\n| {row} |")), "{row}");
        all.iter()
            .for_each(|bytes| different(&pair, bytes, &mut problems));
    }
    no_problems(&pair, &problems);
}

#[test]
fn guarded_ports_answer_as_guarded_redis_does() {
    let mut problems = Vec::new();
    for (pair, scripts) in [
        (Pair::with_password(), guarded::WITH_PASSWORD),
        (Pair::with_user(), guarded::WITH_USER),
    ] {
        for script in scripts {
            same(&pair, &cases::inline(script), &mut problems);
            same(&pair, &cases::arrays(script), &mut problems);
        }
        for bytes in guarded::RAW {
            same(&pair, bytes, &mut problems);
        }
        no_problems(&pair, &problems);
    }
}

#[test]
fn random_commands_are_answered_as_redis_answers_them() {
    let pair = Pair::open();
    let seed = std::env::var("ORACLE_SEED").ok();
    let seed = seed.map_or(20_261_126, |seed| seed.parse().expect("a number"));
    for number in 0..random::SEQUENCES {
        let (bytes, piece) = random::sequence(seed, number);
        let (redis, node) = pair.ask_in_pieces(&bytes, piece);
        assert!(
            redis == node,
            "ORACLE_SEED={seed}, sequence {number}, {}: {}\n    redis: {redis}\n     node: {node}",
            pair.version(),
            bytes.escape_ascii(),
        );
    }
}

#[test]
fn commands_are_described_as_redis_describes_them() {
    let pair = Pair::open();
    let names = pair.node_commands();
    assert!(names.len() > 25, "{names:?}");
    let mut problems = Vec::new();
    for name in names {
        let (redis, node) = pair.describe(&name);
        // Commands that are younger than this redis-server are not known to it.
        let is_known = redis != ["[nil]"];
        if is_known && redis != node && !differences::DESCRIBED_OTHERWISE.contains(&name.as_str()) {
            problems.push(format!("{name}\n    redis: {redis:?}\n     node: {node:?}"));
        }
    }
    no_problems(&pair, &problems);
}

/// The oracle checks its input.
#[test]
fn answers_are_compared_without_what_cannot_be_equal() {
    let answer = |text: &str| Answer::of(text.as_bytes()).to_string();
    assert_eq!(
        answer("$15\r\n1795664365679-0\r\n"),
        answer("$17\r\n1795664365680-123\r\n")
    );
    assert_ne!(answer("$15\r\n1795664365679-0\r\n"), answer("$1\r\n0\r\n"));
    assert_ne!(answer(":1\r\n"), answer(":2\r\n"));
    assert_ne!(answer("-ERR a\r\n"), answer("-ERR b\r\n"));
    assert_eq!(answer("-NOPERM a\r\n"), answer("-NOPERM b\r\n"));
}
