//! `restart`, against servers that this program starts: one that reports its losses, and one that
//! does not.

use crate::faulty::{Fault, Faulty};
use crate::harness::Run;

/// Address of the server of [`serves_until_it_is_ended`].
const ADDRESS: &str = "FAULTY_ADDRESS";

/// This test's program as a server of its own; see [`reborn`].
#[test]
#[ignore = "it is the server of the tests beside it"]
fn serves_until_it_is_ended() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let _server = Faulty::start_at(address.parse().expect("an address"), Fault::Reborn);
    loop {
        std::thread::park();
    }
}

/// Options of a run against a server that forgets everything at its end, and reports it.
fn reborn() -> Vec<String> {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a path in UTF-8");
    let test = "restart::serves_until_it_is_ended --exact --ignored";
    [
        "restart".to_owned(),
        "--preset=plain".to_owned(),
        format!("--spawn=env {ADDRESS}=127.0.0.1:{{http}} '{program}' {test}"),
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

#[test]
fn streams_and_publishers_come_back_however_the_server_ends() {
    for kind in ["--kind=stop", "--kind=kill"] {
        let run = run(
            &reborn(),
            &[
                kind,
                "--assert=lost == 0",
                "--assert=closed == 0",
                "--assert=longest_publish_wait < 30s",
            ],
        );
        assert_eq!(run.code, 0, "{kind}: {}", run.said);
        for (figure, value) in [
            ("streams", 10),
            ("lost", 0),
            ("doubled", 0),
            ("out_of_order", 0),
            ("closed", 0),
            ("returned", 10),
            ("gap_events", 10),
        ] {
            assert_eq!(run.figure(figure), value, "{kind} {figure}: {}", run.said);
        }
        assert_eq!(
            run.figure("events") + run.figure("publishes_failed"),
            300,
            "{kind}: {}",
            run.said
        );
        for name in ["\"down\"", "\"back\"", "\"open_streams\"", "\"publish\""] {
            assert!(run.json.contains(name), "{kind}: no {name}: {}", run.said);
        }
    }
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
    let words = [
        "restart",
        "--streams=3",
        "--url=http://127.0.0.1:1/events/{topic}",
    ];
    let (code, said) = Run::refused(&words);
    assert!(code == 1 && said.contains("give --spawn"), "{code}: {said}");
    let (code, said) = Run::refused(&["restart", "--spawn=true", "--topics=2"]);
    assert!(
        code == 1 && said.contains("leave --topics and --pool out"),
        "{code}: {said}"
    );
}
