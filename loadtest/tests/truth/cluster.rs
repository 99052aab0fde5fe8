//! Several nodes, and `cluster`: what is wrong with them is found, and by name.

use crate::faulty::{Fault, Faulty, Tells};
use crate::harness::Run;
use crate::restart::spawning;

/// Options of a short run in which every stream is on both nodes several times.
const SHORT: [&str; 7] = [
    "cluster",
    "--preset=plain",
    "--streams=20",
    "--rate=100",
    "--for=2s",
    "--hop-every=100ms..300ms",
    "--timeout=3s",
];

fn urls(nodes: &[&Faulty]) -> Vec<String> {
    let each = nodes.iter().flat_map(|node| {
        let origin = format!("http://{}", node.address());
        [
            format!("--url={origin}/events?{{topics}}"),
            format!("--publish={origin}/publish/{{topic}}"),
        ]
    });
    each.collect()
}

fn run(nodes: &[&Faulty], more: &[&str]) -> Run {
    let urls = urls(nodes);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    Run::command(&[&SHORT[..], more, &urls].concat())
}

/// A run over a node that does right and another one of the same server with a fault.
fn beside(fault: Fault, more: &[&str]) -> Run {
    let first = Faulty::start(Fault::None);
    run(&[&first, &first.beside(fault)], more)
}

/// Whether exactly these of the scenario's own assertions failed.
fn assert_failed(run: &Run, names: &[&str]) {
    let failed = run.said.lines().filter_map(|line| {
        let text = line.strip_prefix("assertion failed: ")?;
        text.split(' ').next()
    });
    assert_eq!(failed.collect::<Vec<_>>(), names, "{}", run.said);
    assert_eq!(run.code, i32::from(!names.is_empty()), "{}", run.said);
}

#[test]
fn nodes_that_share_a_log_are_one_server() {
    let run = beside(Fault::None, &[]);
    assert_failed(&run, &[]);
    assert_eq!(run.figure("events"), 200, "{}", run.said);
    assert_eq!(run.figure("deliveries"), 20 * 200, "{}", run.said);
    assert_eq!(run.figure("ids_compared"), 200, "{}", run.said);
    assert!(run.figure("ids_from_all_nodes") > 0, "{}", run.said);
    assert!(run.figure("hops") >= 20, "{}", run.said);
    assert!(run.latency("delivery") > 0, "{}", run.said);
    let waiting = run.latency("delivery") + run.latency("replay");
    assert_eq!(waiting, 20 * 200, "{}", run.said);
}

#[test]
fn streams_hop_to_the_next_node_or_stay() {
    let next = beside(Fault::None, &["--hop=next", "--processes=2"]);
    assert_failed(&next, &[]);
    assert!(next.figure("hops") >= 20, "{}", next.said);
    let same = beside(Fault::None, &["--hop=same"]);
    assert_failed(&same, &[]);
    assert_eq!(same.figure("hops"), 0, "{}", same.said);
}

#[test]
fn a_stream_that_hops_is_on_every_node_and_one_that_stays_on_its_own() {
    for (hop, is_elsewhere) in [("next", true), ("random", true), ("same", false)] {
        let first = Faulty::start(Fault::None);
        let second = first.beside(Fault::None);
        let hop_option = format!("--hop={hop}");
        // Some 38 times: that all of them lead to one node, at random, is out of the question.
        let options = [
            "--streams=1",
            "--for=4s",
            "--hop-every=100ms..110ms",
            &hop_option,
        ];
        let run = run(&[&first, &second], &options);
        assert_failed(&run, &[]);
        let asked = [&first, &second].map(|node| node.asked().len());
        assert_eq!(asked[1] > 0, is_elsewhere, "{hop}: {asked:?}: {}", run.said);
        assert!(asked[0] > 0, "{hop}: {asked:?}: {}", run.said);
    }
}

#[test]
fn nodes_that_share_nothing_are_found_out() {
    let (first, second) = (Faulty::start(Fault::None), Faulty::start(Fault::None));
    let run = run(&[&first, &second], &[]);
    assert_eq!(run.code, 1, "{}", run.said);
    assert!(
        run.said.contains("assertion failed: lost == 0"),
        "{}",
        run.said
    );
}

#[test]
fn a_lost_event_is_named() {
    let run = beside(Fault::Loses(101), &[]);
    assert_failed(&run, &["lost"]);
    let name = "warning: lost: event 51 of topic t-0 never came on stream ";
    assert!(run.said.contains(name), "{}", run.said);
}

#[test]
fn a_doubled_event_is_named() {
    let run = beside(Fault::Doubles(102), &[]);
    assert_failed(&run, &["doubled"]);
    let name = "warning: doubled: event 51 of topic t-1 came again, with 102, on stream ";
    assert!(run.said.contains(name), "{}", run.said);
}

#[test]
fn an_event_before_its_turn_is_named_although_its_topic_is_in_order() {
    // A stream that leaves between the two goes on behind the first, and misses the second.
    let run = beside(Fault::Swaps(101), &["--hop-every=500ms..900ms"]);
    assert_eq!(run.code, 1, "{}", run.said);
    assert_eq!(run.figure("out_of_order"), 0, "{}", run.said);
    let name = "warning: ids_fell: event 51 of topic t-0 came with 101 after 102-0 on stream ";
    assert!(run.said.contains(name), "{}", run.said);
}

#[test]
fn an_id_that_differs_from_node_to_node_is_named() {
    let run = beside(Fault::OtherIds, &[]);
    assert_failed(&run, &["ids_differ"]);
    assert!(
        run.said.contains("and had another id elsewhere"),
        "{}",
        run.said
    );
}

#[test]
fn a_gap_is_allowed_only_if_it_is_asked_for() {
    let fault = Fault::Skips(101, Tells::Exactly);
    assert_failed(&beside(fault, &[]), &["gap_events"]);
    let run = beside(fault, &["--gaps-allowed=1000"]);
    assert_failed(&run, &[]);
    assert!(run.figure("gap_told") > 0, "{}", run.said);
}

#[test]
fn a_gap_that_does_not_cover_what_is_missing_is_named() {
    let fault = Fault::Skips(101, Tells::TooLittle);
    let run = beside(fault, &["--gaps-allowed=1000"]);
    assert_failed(&run, &["untold"]);
    let name = "leaves out event 51 of topic 0, 101-0";
    assert!(run.said.contains(name), "{}", run.said);
}

#[test]
fn an_event_that_is_sent_again_is_one_event_only_with_its_key() {
    let key = "--publish-header=Idempotency-Key: {key}";
    let keyed = beside(Fault::Swallows(20), &[key]);
    assert_failed(&keyed, &[]);
    assert_eq!(keyed.figure("publishes_retried"), 1, "{}", keyed.said);
    assert_eq!(keyed.figure("events"), 200, "{}", keyed.said);
    let bare = beside(Fault::Swallows(20), &[]);
    assert_eq!(bare.code, 1, "{}", bare.said);
    assert!(
        bare.said.contains("warning: doubled: event "),
        "{}",
        bare.said
    );
}

#[test]
fn a_node_that_was_killed_comes_back_and_what_it_forgot_is_counted() {
    let words = spawning("none");
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let more = ["--kill-every=500ms", "--gaps-allowed=1000", "--nodes=1"];
    let run = Run::command(&[&SHORT[..], &more, &words].concat());
    assert!(run.figure("kills") > 0, "{}", run.said);
    assert!(run.figure("gap_events") > 0, "{}", run.said);
    assert_eq!(
        (run.figure("lost"), run.figure("away")),
        (0, 0),
        "{}",
        run.said
    );
    assert!(run.json.contains("\"node_back\""), "{}", run.said);
}

#[test]
fn commands_kill_and_start_a_node_that_runs_already() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| format!("{}/{name}-{{node}}", folder.path().display());
    let kill = format!("--kill-command=touch {}", file("killed"));
    let start = format!("--start-command=touch {}", file("started"));
    let run = beside(Fault::None, &["--kill-every=500ms", &kill, &start]);
    assert_failed(&run, &[]);
    assert!(run.figure("kills") >= 2, "{}", run.said);
    for name in ["killed-0", "started-0", "killed-1", "started-1"] {
        assert!(folder.path().join(name).exists(), "{name}: {}", run.said);
    }
    let failing = beside(
        Fault::None,
        &["--kill-every=500ms", "--kill-command=false", &start],
    );
    assert_eq!(failing.code, 1, "{}", failing.said);
    assert!(
        failing
            .said
            .contains("the command of --kill-command has failed"),
        "{}",
        failing.said
    );
}

#[test]
fn streams_of_every_scenario_are_spread_over_the_nodes() {
    let first = Faulty::start(Fault::None);
    let second = first.beside(Fault::None);
    let urls = urls(&[&first, &second]);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let options = [
        "fanout",
        "--preset=plain",
        "--streams=10",
        "--topic=t{i}",
        "--pool=2",
        "--one-at-a-time=4",
        "--rate=0",
        "--burst=10",
        "--bursts=1",
    ];
    let run = Run::command(&[&options[..], &urls].concat());
    assert_eq!(run.figure("streams"), 10, "{}", run.said);
    assert_eq!((run.figure("lost"), run.figure("out_of_order")), (0, 0));
    assert_eq!([&first, &second].map(|node| node.asked().len()), [5, 5]);
}
