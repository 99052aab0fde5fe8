//! Servers that do wrong in one way each: the harness must name it, over real sockets and with its
//! real processes.

mod addresses;
mod ceiling;
mod cluster;
mod endings;
mod faulty;
mod harness;
mod restart;
mod tokens;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use faulty::{Fault, Faulty};
use harness::Run;

/// Streams of each run.
const STREAMS: u64 = 10;

/// `fanout` against a server with a fault: five events one at a time, no rate, one burst of ten.
fn fanout(fault: Fault, options: &[&str]) -> Run {
    let server = Faulty::start(fault);
    let common = [
        "fanout",
        "--streams=10",
        "--one-at-a-time=5",
        "--rate=0",
        "--burst=10",
        "--bursts=1",
        "--timeout=2s",
    ];
    Run::of(&server, &[&common, options].concat())
}

#[test]
fn a_server_that_does_right_gets_a_clean_sheet() {
    let run = fanout(Fault::None, &["--assert=lost == 0", "--assert=p99 < 10s"]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!(run.figure("streams"), STREAMS);
    assert_eq!(run.figure("deliveries"), STREAMS * 15);
    for name in [
        "lost",
        "doubled",
        "out_of_order",
        "gap_told",
        "foreign",
        "refused",
        "closed",
    ] {
        assert_eq!(run.figure(name), 0, "{name}");
    }
    assert!(
        run.said.contains("assertion held: lost == 0"),
        "{}",
        run.said
    );
    let first = run.first_latency();
    assert_eq!(
        first, "delivery",
        "a bare p99 is of deliveries, not of connects"
    );
}

#[test]
fn lost_events_are_counted_on_every_stream() {
    let run = fanout(Fault::Loses(3), &["--assert=lost == 0"]);
    assert_eq!(run.figure("lost"), STREAMS);
    assert_eq!(
        run.figure("doubled") + run.figure("out_of_order") + run.figure("gap_told"),
        0
    );
    assert_eq!(run.code, 1, "the assertion decides the exit code");
    assert!(
        run.said.contains("assertion failed: lost == 0: it was 10"),
        "{}",
        run.said
    );
}

#[test]
fn an_event_lost_at_the_very_end_is_lost_too() {
    let run = fanout(Fault::Loses(15), &[]);
    assert_eq!(run.figure("lost"), STREAMS);
}

#[test]
fn doubled_events_are_counted() {
    let run = fanout(Fault::Doubles(2), &[]);
    assert_eq!((run.figure("doubled"), run.figure("lost")), (STREAMS, 0));
}

#[test]
fn events_in_the_wrong_order_are_counted_and_not_lost() {
    let run = fanout(Fault::Swaps(8), &[]);
    assert_eq!(
        (
            run.figure("out_of_order"),
            run.figure("lost"),
            run.figure("doubled")
        ),
        (STREAMS, 0, 0)
    );
}

#[test]
fn events_that_a_gap_tells_of_are_told_and_not_lost() {
    let run = fanout(Fault::TellsGap(4), &[]);
    assert_eq!((run.figure("gap_told"), run.figure("lost")), (STREAMS, 0));
}

#[test]
fn streams_that_are_refused_are_a_result() {
    let run = fanout(Fault::Answers503(4), &[]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!(
        (run.figure("refused"), run.figure("streams")),
        (4, STREAMS - 4)
    );
    assert_eq!(run.reason("answered 503 Service Unavailable"), 4);
    assert_eq!(
        run.figure("lost"),
        0,
        "nothing is due to a stream that never opened"
    );
}

#[test]
fn streams_that_the_server_closes_are_a_result() {
    let run = fanout(Fault::ClosesAfter(2), &[]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!((run.figure("closed"), run.figure("streams")), (STREAMS, 0));
    assert_eq!(run.figure("missed_closed"), STREAMS * 13);
    assert_eq!(run.reason("closed by the server"), STREAMS);
}

#[test]
fn streams_that_come_back_with_their_cursor_miss_nothing() {
    let run = fanout(Fault::ClosesAfter(2), &["--reconnect", "--timeout=10s"]);
    assert_eq!(
        (
            run.figure("lost"),
            run.figure("doubled"),
            run.figure("streams")
        ),
        (0, 0, STREAMS),
        "{}",
        run.said
    );
    assert!(run.figure("returned") >= STREAMS);
    assert_eq!(run.figure("returned_without_cursor"), 0);
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    // Fewer are tried at once than are asked for: those that were never tried are refused, too.
    let run = fanout(Fault::NeverAnswers, &["--connecting=4", "--at=10"]);
    assert_eq!(
        (run.figure("refused"), run.figure("streams")),
        (STREAMS, 0),
        "{}",
        run.said
    );
    assert_eq!(run.reason("not open within --timeout"), 4);
}

#[test]
fn streams_that_the_server_does_not_take_back_end_the_waiting() {
    let run = fanout(Fault::ClosesForGood(2), &["--reconnect"]);
    assert_eq!(
        (run.figure("streams"), run.figure("away")),
        (0, STREAMS),
        "{}",
        run.said
    );
    assert_eq!(
        (run.figure("lost"), run.figure("missed_closed")),
        (0, STREAMS * 13)
    );
    assert!(run.reason("answered 503 Service Unavailable") >= STREAMS);
}

#[test]
fn a_server_that_is_not_there_is_a_result_too() {
    let run = Run::command(&[
        "density",
        "--streams=3",
        "--url=http://127.0.0.1:1/",
        "--preset=plain",
        "--events=0",
    ]);
    assert_eq!((run.code, run.figure("refused")), (1, 3), "{}", run.said);
    assert_eq!(run.reason("connection refused"), 3);
}

#[test]
fn refused_events_are_counted_and_due_to_nobody() {
    let run = fanout(Fault::RefusesEvent(3), &[]);
    assert_eq!(
        (run.figure("lost"), run.figure("deliveries")),
        (0, STREAMS * 14),
        "{}",
        run.said
    );
    assert_eq!(
        run.reason("publishing was answered 429 Too Many Requests"),
        1
    );
}

#[test]
fn a_server_that_takes_no_event_is_found_out_without_waiting_for_each() {
    let start = std::time::Instant::now();
    let run = fanout(Fault::RefusesAll, &["--timeout=60s", "--assert=events > 0"]);
    assert_eq!(
        (run.figure("events"), run.figure("events_refused")),
        (0, 15),
        "{}",
        run.said
    );
    assert_eq!((run.figure("lost"), run.code), (0, 1));
    assert!(
        run.said
            .contains("warning: the server refused 15 of 15 events"),
        "{}",
        run.said
    );
    // No event was waited for: a single one would have taken the whole timeout.
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn a_publisher_that_is_hung_up_on_ends_the_run_with_what_came_before() {
    let run = fanout(Fault::HangsUp(4), &[]);
    assert_eq!(run.code, 1, "{}", run.said);
    assert_eq!(
        (run.figure("deliveries"), run.figure("lost")),
        (STREAMS * 3, 0),
        "{}",
        run.said
    );
    assert!(
        run.said
            .contains("the run ended early: publishing: the server closed the connection"),
        "{}",
        run.said
    );
}

#[test]
fn options_that_cannot_be_are_refused_with_a_way_out() {
    let url = "--url=http://127.0.0.1:1/events/{topic}";
    let publish = "--publish=http://127.0.0.1:1/publish/{topic}";
    for (words, said) in [
        (
            ["fanout", "--topics=2", url, publish],
            "write {topics} where all of them belong",
        ),
        (
            [
                "fanout",
                "--pool=2",
                "--url=http://127.0.0.1:1/events",
                publish,
            ],
            "there are 2 topics; write {topic}",
        ),
        (
            ["fanout", "--publish-body=x", url, publish],
            "there is no {data} in it",
        ),
        (
            ["fanout", "--pid=999999999", url, publish],
            "--pid 999999999: there is no such process",
        ),
        (
            ["fanout", "--preset=plain", url, "--rate=0"],
            "needs --publish URL",
        ),
        (
            ["ingest", "--topics=2", url, publish],
            "leave --topics and --pool out",
        ),
    ] {
        let (code, text) = Run::refused(&words);
        assert!(
            code == 1 && text.contains(said),
            "{words:?}: {code}: {text}"
        );
    }
}

#[test]
fn an_event_of_another_topic_is_foreign() {
    let run = fanout(Fault::IgnoresTopics, &["--topic=t{i}", "--pool=2"]);
    // Five streams of each of two topics, all of which are sent all of fifteen events.
    assert_eq!(run.figure("foreign"), 5 * 7 + 5 * 8, "{}", run.said);
    assert_eq!(run.figure("lost"), 0);
}

#[test]
fn streams_that_leave_and_come_back_miss_nothing_where_the_server_resumes() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[
            "churn",
            "--streams=20",
            "--share=50%",
            "--away=50ms",
            "--rate=50",
            "--for=1s",
        ],
    );
    assert!(run.figure("returned") > 0, "{}", run.said);
    assert_eq!(
        (
            run.figure("lost"),
            run.figure("doubled"),
            run.figure("events")
        ),
        (0, 0, 50),
        "{}",
        run.said
    );
}

#[test]
fn streams_that_leave_lose_events_where_the_server_does_not_resume() {
    let server = Faulty::start(Fault::ForgetsCursors);
    let run = Run::of(
        &server,
        &[
            "churn",
            "--streams=20",
            "--share=100%",
            "--away=200ms",
            "--rate=100",
            "--for=1s",
            "--timeout=3s",
        ],
    );
    let lost = run.figure("lost");
    assert!(lost > 0 && lost < 20 * 100, "{}", run.said);
    assert_eq!(
        run.figure("returned_without_cursor"),
        0,
        "the server gives cursors, and forgets them"
    );
}

#[test]
fn slow_streams_are_measured_apart() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[
            "slow",
            "--streams=20",
            "--share=25%",
            "--rate=20",
            "--for=1s",
        ],
    );
    assert_eq!(run.figure("lost"), 0, "{}", run.said);
    assert_eq!(run.figure("deliveries"), 20 * 40);
    let (all, with, slow) = (
        run.latency("delivery_without"),
        run.latency("delivery_with"),
        run.latency("delivery_slow"),
    );
    // While all read, the slow ones are not among them either; stalled, they read only at the end.
    assert!(
        with < 20 * 20 && with == all && with + slow == 20 * 20,
        "{all} {with} {slow}"
    );
}

#[test]
fn crawling_streams_get_everything_in_the_end() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[
            "slow",
            "--streams=20",
            "--share=25%",
            "--crawl=1KiB",
            "--data-bytes=4000",
            "--rate=20",
            "--for=1s",
        ],
    );
    assert_eq!(
        (run.figure("lost"), run.figure("deliveries")),
        (0, 20 * 40),
        "{}",
        run.said
    );
}

#[test]
fn publishing_at_full_speed_is_checked_by_streams() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &["ingest", "--streams=2", "--connections=3", "--for=300ms"],
    );
    assert!(run.figure("http_events_per_s") > 0, "{}", run.said);
    assert_eq!(run.figure("lost"), 0, "{}", run.said);
    assert_eq!(run.figure("deliveries"), 2 * run.figure("events"));
}

#[test]
fn a_soak_says_a_line_now_and_then() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[
            "soak",
            "--streams=5",
            "--for=1s",
            "--every=250ms",
            "--rate=20",
            "--churn=20%",
        ],
    );
    assert_eq!(run.figure("lost"), 0, "{}", run.said);
    assert!(
        run.said.matches(" streams, 0 refused or closed").count() >= 3,
        "{}",
        run.said
    );
}

#[test]
fn connections_come_from_the_addresses_that_are_given_in_turn() {
    let server = Faulty::start(Fault::None);
    let options = [
        "density",
        "--streams=10",
        "--source=127.0.0.5",
        "--source=127.0.0.6",
        "--connect-rate=50",
    ];
    let run = Run::of(&server, &options);
    assert_eq!(run.figure("streams"), STREAMS, "{}", run.said);
    assert_eq!(
        ["127.0.0.5", "127.0.0.6"].map(|from| server.connections_from(from)),
        [5, 5]
    );
}

#[test]
fn many_client_processes_share_the_streams() {
    let server = Faulty::start(Fault::None);
    let run = Run::of(
        &server,
        &[
            "fanout",
            "--streams=10",
            "--processes=3",
            "--rate=0",
            "--one-at-a-time=2",
            "--burst=0",
        ],
    );
    assert_eq!(
        (run.figure("streams"), run.figure("deliveries")),
        (STREAMS, STREAMS * 2),
        "{}",
        run.said
    );
}

#[test]
fn a_server_is_spoken_to_over_tls_only_if_its_certificate_is_trusted() {
    let certified =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a key that fits");
    let server = Faulty::start_tls(config);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certified.cert.pem()).expect("a file");

    let trusted = format!("--ca={}", file.display());
    let options = [
        "fanout",
        "--streams=10",
        "--one-at-a-time=3",
        "--rate=0",
        "--burst=20",
        "--bursts=2",
        &trusted,
    ];
    let run = Run::over("https", &server, &options);
    assert_eq!(
        (run.figure("lost"), run.figure("deliveries")),
        (0, STREAMS * 43),
        "{}",
        run.said
    );

    let options = [
        "churn",
        "--streams=10",
        "--share=50%",
        "--away=20ms",
        "--rate=50",
        "--for=1s",
        &trusted,
    ];
    let run = Run::over("https", &server, &options);
    assert!(run.figure("returned") > 0, "{}", run.said);
    assert_eq!(
        (run.figure("lost"), run.figure("doubled")),
        (0, 0),
        "{}",
        run.said
    );

    let options = [
        "slow",
        "--streams=10",
        "--share=30%",
        "--rate=20",
        "--for=1s",
        "--data-bytes=2000",
        &trusted,
    ];
    let run = Run::over("https", &server, &options);
    assert_eq!(
        (run.figure("lost"), run.figure("deliveries")),
        (0, 10 * 40),
        "{}",
        run.said
    );

    let run = Run::over("https", &server, &["density", "--streams=2", "--events=0"]);
    assert_eq!(
        (run.figure("refused"), run.figure("streams")),
        (2, 0),
        "{}",
        run.said
    );
    assert!(run.said.contains("certificate"), "{}", run.said);
}
