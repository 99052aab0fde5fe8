//! `restart`, against servers that this program starts: some that report their losses, and some that
//! do not.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::faulty::{Fault, Faulty, Tells};
use crate::harness::Run;

/// Address of the server of [`serves_until_it_is_ended`], and its fault.
const ADDRESS: &str = "FAULTY_ADDRESS";
const FAULT: &str = "FAULTY_FAULT";
/// Pause between two looks for a signal.
const LOOK: Duration = Duration::from_millis(5);
/// Events that a server which withholds some sends before.
const SENT: usize = 100;

/// SIGUSR2 has come.
static UPGRADE: AtomicBool = AtomicBool::new(false);

extern "C" fn note_signal(_: i32) {
    UPGRADE.store(true, Ordering::Relaxed);
}

/// This test's program as a server of its own; see [`spawning`].
#[test]
#[ignore = "it is the server of the tests beside it"]
fn serves_until_it_is_ended() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let fault = match std::env::var(FAULT).expect("a fault").as_str() {
        "exact" => Fault::Withholds(SENT, Tells::Exactly),
        "short" => Fault::Withholds(SENT, Tells::TooLittle),
        "wide" => Fault::Withholds(SENT, Tells::TooMuch),
        "stalls" => Fault::Stalls(20),
        "unavailable" => Fault::Unavailable(20),
        "closes" => Fault::ClosesBehind(100),
        "away" => Fault::SendsAway(4),
        _ => Fault::Reborn,
    };
    if std::env::var(FAULT).as_deref() == Ok("replaces") {
        let note = SigHandler::Handler(note_signal);
        let action = SigAction::new(note, SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler only sets an atomic flag.
        unsafe { sigaction(Signal::SIGUSR2, &action) }.expect("a handler");
    }
    let _server = Faulty::start_at(address.parse().expect("an address"), fault);
    loop {
        std::thread::sleep(LOOK);
        if UPGRADE.load(Ordering::Relaxed) {
            let program = std::env::current_exe().expect("this program");
            let error = Command::new(program).args(std::env::args().skip(1)).exec();
            panic!("no new program: {error}");
        }
    }
}

/// Options of a run against a server that forgets everything at its end, with a fault.
pub(crate) fn spawning(fault: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a path in UTF-8");
    let test = "restart::serves_until_it_is_ended --exact --ignored";
    [
        "restart".to_owned(),
        "--preset=plain".to_owned(),
        format!("--spawn=env {ADDRESS}=127.0.0.1:{{http}} {FAULT}={fault} '{program}' {test}"),
        "--url=http://127.0.0.1:{http}/events?{topics}".to_owned(),
        "--publish=http://127.0.0.1:{http}/publish/{topic}".to_owned(),
    ]
    .into()
}

const SHORT: [&str; 3] = ["--streams=10", "--rate=100", "--for=3s"];

fn run(words: &[String], more: &[&str]) -> Run {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Run::command(&[&words, &SHORT[..], more].concat())
}

/// All figures that are named are as expected.
fn assert_figures(run: &Run, figures: &[(&str, u64)]) {
    for (figure, value) in figures {
        assert_eq!(run.figure(figure), *value, "{figure}: {}", run.said);
    }
}

#[test]
fn streams_and_publishers_come_back_however_the_server_ends() {
    for kind in ["--kind=stop", "--kind=kill"] {
        let run = run(
            &spawning("none"),
            &[
                kind,
                "--history-streams=0",
                "--assert=lost == 0",
                "--assert=closed == 0",
                // Some are due in the milliseconds without a server.
                "--rate=1000",
                "--assert=longest_publish_wait < 30s",
            ],
        );
        assert_eq!(run.code, 0, "{kind}: {}", run.said);
        let figures = [
            ("streams", 10),
            ("lost", 0),
            ("doubled", 0),
            ("out_of_order", 0),
            ("closed", 0),
            ("dead", 0),
            ("cut", 10),
            ("returned", 10),
            ("gap_events", 10),
            ("restarts", 1),
            ("history_streams", 0),
        ];
        assert_figures(&run, &figures);
        assert_eq!(
            run.figure("events") + run.figure("publishes_failed"),
            3_000,
            "{kind}: {}",
            run.said
        );
        let kinds = ["refused", "reset", "timeout", "5xx", "error"];
        let failed = kinds.map(|kind| run.figure(&format!("publishes_{kind}")));
        assert_eq!(
            failed.iter().sum::<u64>(),
            run.figure("publishes_failed"),
            "{failed:?}: {}",
            run.said
        );
        // The publisher is plain: while the server is away, its events fail.
        assert!(run.figure("publishes_refused") > 0, "{}", run.said);
        for name in ["\"down\"", "\"back\"", "\"open_streams\"", "\"publish\""] {
            assert!(run.json.contains(name), "{kind}: no {name}: {}", run.said);
        }
        assert_eq!(run.latency("away"), 10, "{}", run.said);
    }
}

#[test]
fn a_stream_that_is_sent_away_is_not_back() {
    let run = run(&spawning("away"), &["--kind=kill", "--history-streams=0"]);
    let figures = [
        ("sent_away", 4),
        ("cut", 10),
        ("returned", 10),
        ("streams", 10),
        ("lost", 0),
    ];
    assert_figures(&run, &figures);
    assert_eq!(run.latency("away"), 10, "{}", run.said);
}

#[test]
fn publishers_that_try_again_lose_nothing() {
    // A server that is back within milliseconds cuts some of these all the same.
    let more = ["--kind=kill", "--publish-retries", "--rate=1000"];
    let run = run(&spawning("none"), &more);
    assert_figures(
        &run,
        &[("events", 3_000), ("publishes_failed", 0), ("lost", 0)],
    );
    assert!(run.figure("publishes_retried") > 0, "{}", run.said);
}

#[test]
fn publishers_give_up_an_event_without_an_answer_and_one_that_is_answered_503() {
    for (fault, figure) in [
        ("stalls", "publishes_timeout"),
        ("unavailable", "publishes_5xx"),
    ] {
        let upgrade = ["--kind=upgrade", "--upgrade-command=true"];
        let more = [&upgrade[..], &["--publish-timeout=300ms"]].concat();
        let run = run(&spawning(fault), &more);
        assert!(run.figure(figure) > 0, "{}", run.said);
        assert_eq!(
            run.figure("publishes_failed"),
            run.figure(figure),
            "{}",
            run.said
        );
        assert_figures(&run, &[("lost", 0), ("cut", 0)]);
    }
}

#[test]
fn an_answer_counts_also_if_the_connection_ends_right_behind_it() {
    let upgrade = ["--kind=upgrade", "--upgrade-command=true", "--for=1s"];
    let burst = [
        "--rate=5000",
        "--publish-pipeline=16",
        "--history-streams=0",
    ];
    let run = run(&spawning("closes"), &[upgrade, burst].concat());
    assert!(run.figure("publishes_reset") > 0, "{}", run.said);
    // All that was answered is due to all, and no stream has what was not answered.
    let (events, deliveries) = (run.figure("events"), run.figure("deliveries"));
    assert_eq!(
        (run.figure("lost"), deliveries),
        (0, 10 * events),
        "{}",
        run.said
    );
}

#[test]
fn what_a_gap_tells_is_compared_with_what_is_missing() {
    for (fault, figure) in [
        ("exact", "gaps_exact"),
        ("short", "gaps_short"),
        ("wide", "gaps_wide"),
    ] {
        let run = run(&spawning(fault), &["--kind=kill"]);
        let figures = [
            ("gap_events", 20),
            (figure, 20),
            ("lost", 0),
            ("history_lost", 0),
        ];
        assert_figures(&run, &figures);
        // Every stream misses what it was not sent and the publisher was told is taken.
        let missed = run.figure("gap_told");
        assert!(
            missed >= 10 * 20 && missed.is_multiple_of(10),
            "{}",
            run.said
        );
        assert!(run.figure("history_gap_told") > missed, "{}", run.said);
        // The short range leaves out one event of each.
        let untold = if fault == "short" { 20 } else { 0 };
        assert_eq!(run.figure("untold"), untold, "{}", run.said);
    }
}

#[test]
fn an_upgrade_that_nobody_notices_has_a_clean_sheet() {
    let several = [
        "--kind=upgrade",
        "--upgrade-command=true",
        "--times=3",
        "--every=1200ms",
    ];
    let run = run(&spawning("none"), &several);
    assert_eq!(run.code, 0, "{}", run.said);
    let figures = [
        ("restarts", 3),
        ("cut", 0),
        ("gap_events", 0),
        ("events", 480),
        ("publishes_failed", 0),
    ];
    assert_figures(&run, &figures);
    // Streams that are opened after a restart are sent what came since the second before it.
    assert_figures(
        &run,
        &[("history_streams", 30), ("history_lost", 0), ("doubled", 0)],
    );
    assert!(run.figure("deliveries") > 4_800 + 30 * 90, "{}", run.said);
    assert!(
        run.said
            .contains("upgrade × 3, 10 streams, 100 events/s: lost 0,"),
        "{}",
        run.said
    );
}

#[test]
fn an_upgrade_that_fails_fails_the_run_and_what_was_seen_is_shown() {
    let fails = [
        "--kind=upgrade",
        "--upgrade-command=sh -c 'echo no such file; exit 3'",
    ];
    let run = run(&spawning("none"), &fails);
    assert_eq!(run.code, 1, "{}", run.said);
    assert_figures(
        &run,
        &[("restarts", 0), ("lost", 0), ("cut", 0), ("events", 300)],
    );
    assert!(run.said.contains("no such file"), "{}", run.said);
}

#[test]
fn a_program_that_is_replaced_in_place_is_noticed() {
    let run = run(&spawning("replaces"), &["--kind=upgrade"]);
    assert_eq!(run.code, 0, "{}", run.said);
    // This server's streams do not survive it.
    assert_figures(
        &run,
        &[("restarts", 1), ("cut", 10), ("returned", 10), ("lost", 0)],
    );
}

#[test]
fn a_server_that_ends_instead_of_an_upgrade_is_found_out() {
    let run = run(&spawning("none"), &["--kind=upgrade", "--timeout=5s"]);
    assert_eq!(run.code, 1, "{}", run.said);
    assert!(run.said.contains("has ended at SIGUSR2"), "{}", run.said);
}

#[test]
fn the_next_server_listens_before_the_first_is_ended() {
    let run = run(&spawning("none"), &["--kind=drain-beside"]);
    assert_eq!(run.code, 0, "{}", run.said);
    let figures = [
        ("restarts", 1),
        ("cut", 10),
        ("returned", 10),
        ("lost", 0),
        ("streams", 10),
    ];
    assert_figures(&run, &figures);
    assert_eq!(run.figure("publishes_refused"), 0, "{}", run.said);
}

#[test]
fn what_a_restart_loses_in_silence_is_lost() {
    let program = env!("CARGO_BIN_EXE_fantail-loadtest");
    let floor = [
        "restart".to_owned(),
        "--preset=plain".to_owned(),
        format!(
            "--spawn='{program}' floor --listen 127.0.0.1:{{http}} --ingest-listen 127.0.0.1:{{ingest}}"
        ),
        "--url=http://127.0.0.1:{http}/{topics}".to_owned(),
        "--publish=resp://127.0.0.1:{ingest}".to_owned(),
    ];
    let run = run(&floor, &["--kind=kill", "--assert=lost == 0"]);
    assert_eq!(run.code, 1, "{}", run.said);
    // Events published before the streams are back reach no stream, and are not reported.
    assert!(run.figure("lost") > 0, "{}", run.said);
    assert_eq!((run.figure("gap_events"), run.figure("returned")), (0, 10));
    assert!(
        run.said.contains("assertion failed: lost == 0"),
        "{}",
        run.said
    );
}

#[test]
fn options_that_a_restart_cannot_do_with_are_refused() {
    let url = "--url=http://127.0.0.1:1/events/{topic}";
    for (words, text) in [
        (&["restart", "--streams=3", url][..], "give --spawn"),
        (
            &["restart", "--kind=upgrade", url],
            "give --spawn, one --pid, or --upgrade-command",
        ),
        (
            &["restart", "--spawn=true", "--topics=2"],
            "leave --topics and --pool out",
        ),
        (
            &["restart", "--spawn=true", "--pool=3"],
            "give an even number",
        ),
        (
            &["restart", "--spawn=true", "--upgrade-command=true"],
            "--upgrade-command is for --kind upgrade",
        ),
    ] {
        let (code, said) = Run::refused(words);
        assert!(
            code == 1 && said.contains(text),
            "{words:?}: {code}: {said}"
        );
    }
}
