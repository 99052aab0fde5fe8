//! Valid assertions, refused ones, and the text of a verdict.

use super::*;
use crate::sample;

fn verdict(text: &str) -> Verdict {
    let assertion: Assertion = text.parse().expect("an assertion");
    assertion.evaluate(&sample::outcome()).expect("a verdict")
}

fn read_error(text: &str) -> String {
    text.parse::<Assertion>()
        .expect_err("no assertion")
        .to_string()
}

fn judge_error(text: &str) -> String {
    let assertion: Assertion = text.parse().expect("an assertion");
    assertion
        .evaluate(&sample::outcome())
        .expect_err("no metric of this outcome")
        .to_string()
}

#[test]
fn every_comparison_is_judged() {
    for (text, held) in [
        ("lost == 0", true),
        ("lost != 0", false),
        ("streams >= 15k", true),
        ("streams<=15k", true),
        ("streams > 15_000", false),
        ("streams < 15001", true),
        ("connects_per_s >= 10k", true),
        ("kernel_per_stream < 11KiB", true),
        ("generator_cpu < 1.5", true),
        ("delivery_rate_p99 < 50ms", false),
        ("reach_all_max < 1s", true),
    ] {
        assert_eq!(verdict(text).held(), held, "{text}");
    }
}

#[test]
fn a_bare_percentile_is_the_first_latency() {
    for percentile in ["p50", "p99", "p99.9", "max"] {
        let bare = verdict(&format!("{percentile} > 0"));
        let full = verdict(&format!("delivery_rate_{percentile} > 0"));
        assert_eq!(bare.actual, full.actual, "{percentile}");
    }
}

#[test]
fn a_verdict_is_one_line_that_names_the_value() {
    assert_eq!(
        verdict("p99  <  50ms").to_string(),
        "assertion failed: p99 < 50ms: it was 61.2 ms"
    );
    assert_eq!(
        verdict("lost == 0").to_string(),
        "assertion held: lost == 0: it was 0"
    );
    assert_eq!(
        verdict("p99 < 61.19ms").to_string(),
        "assertion failed: p99 < 61.19ms: it was 61.2 ms (0.0612 seconds)"
    );
}

#[test]
fn nothing_holds_of_what_was_not_measured() {
    let mut outcome = sample::outcome();
    outcome.figures[0].value = f64::NAN;
    for sign in ["==", "!=", "<", "<=", ">", ">="] {
        let assertion: Assertion = format!("streams {sign} 1").parse().expect("an assertion");
        let verdict = assertion.evaluate(&outcome).expect("a verdict");
        assert!(!verdict.held(), "{verdict}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_before_the_run() {
    assert_eq!(
        read_error("lost"),
        "assertion `lost`: no comparison in it; write it as 'p99 < 50ms', with one of == != < <= > >="
    );
    assert_eq!(
        read_error("lost = 0"),
        "assertion `lost = 0`: `=` is not a comparison; use one of == != < <= > >="
    );
    assert!(read_error("lost => 0").contains("`=>` is not a comparison"));
    assert!(read_error("< 5").contains("must stand before"));
    assert!(read_error("p99 <").contains("must stand before"));
    assert!(read_error("p99 < fast").contains("`fast` is not a value"));
    assert!(read_error("lost == nan").contains("`nan` is not a value"));
}

#[test]
fn an_unknown_metric_lists_what_there_is_closest_first() {
    let error = judge_error("connect_per_s > 1");
    assert!(
        error.contains("there is no `connect_per_s` here; there is connects_per_s, "),
        "{error}"
    );
    assert!(error.contains("reach_all_p99.9"), "{error}");
    assert!(judge_error("p98.x > 1").contains("there is p9"));
    assert!(judge_error("reach_none_p50 > 1").contains("there is reach_all_p50, "));
}

#[test]
fn a_value_of_another_unit_is_refused() {
    assert_eq!(
        judge_error("p99 < 10KiB"),
        "assertion `p99 < 10KiB`: `10KiB` is not a length of time (such as 50ms, 1.5s, or plain seconds)"
    );
}
