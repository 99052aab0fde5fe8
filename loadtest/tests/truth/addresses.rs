//! Reaching the server: every address of its name, passwords, interim answers, a server that is not
//! started yet.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use crate::faulty::{Fault, Faulty};
use crate::harness::Run;

const SMALL: [&str; 5] = [
    "fanout",
    "--streams=5",
    "--one-at-a-time=3",
    "--rate=0",
    "--burst=0",
];

#[test]
fn answers_before_the_answer_are_no_refusal() {
    let server = Faulty::start(Fault::HintsFirst);
    let run = Run::of(&server, &SMALL);
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!(
        (
            run.figure("streams"),
            run.figure("refused"),
            run.figure("lost")
        ),
        (5, 0, 0)
    );
    assert_eq!(run.figure("deliveries"), 15);
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    // `localhost` is ::1 and 127.0.0.1 nearly everywhere, and the server listens on the latter
    // only.
    let server = Faulty::start(Fault::None);
    let origin = format!("http://localhost:{}", server.address().port());
    let words = [
        format!("--url={origin}/events?{{topics}}"),
        format!("--publish={origin}/publish/{{topic}}"),
        "--preset=plain".to_owned(),
    ];
    let words = words.iter().map(String::as_str);
    let run = Run::command(&SMALL.into_iter().chain(words).collect::<Vec<_>>());
    assert_eq!(
        (run.code, run.figure("streams"), run.figure("lost")),
        (0, 5, 0),
        "{}",
        run.said
    );
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let there = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = there.local_addr().expect("an address");
    drop(there);
    let late = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        Faulty::start_at(address, Fault::None)
    });
    let words = [
        format!("--url=http://{address}/events?{{topics}}"),
        format!("--publish=http://{address}/publish/{{topic}}"),
        "--preset=plain".to_owned(),
    ];
    let words = words.iter().map(String::as_str);
    let run = Run::command(&SMALL.into_iter().chain(words).collect::<Vec<_>>());
    assert_eq!((run.code, run.figure("lost")), (0, 0), "{}", run.said);
    drop(late.join());
}

/// Speaks enough RESP for a publisher: the first line of each command's words decides. Returns the
/// address; answers `AUTH` with `to_auth`.
fn redis(to_auth: &'static str) -> (SocketAddr, std::sync::mpsc::Receiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (say, commands) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut input = BufReader::new(connection);
            let mut line = String::new();
            let mut next = |input: &mut BufReader<_>| {
                line.clear();
                let read: std::io::Result<usize> = input.read_line(&mut line);
                (read.unwrap_or(0) > 0).then(|| line.trim_end().to_owned())
            };
            while let Some(head) = next(&mut input) {
                let count = head.trim_start_matches('*').parse().unwrap_or(0);
                let words: Vec<String> = (0..count)
                    .map_while(|_| next(&mut input).and_then(|_| next(&mut input)))
                    .collect();
                let answer = if words[0] == "AUTH" {
                    to_auth
                } else {
                    ":0\r\n"
                };
                let sent = input.get_mut().write_all(answer.as_bytes());
                if say.send(words).is_err() || sent.is_err() {
                    return;
                }
            }
        }
    });
    (address, commands)
}

#[test]
fn redis_urls_log_in_first_and_the_password_stands_nowhere() {
    let streams = Faulty::start(Fault::None);
    let url = format!("--url=http://{}/events?{{topics}}", streams.address());
    let (address, commands) = redis("+OK\r\n");
    let publish = format!("--publish=redis://app:hush%21@{address}/0");
    let words = [
        "ingest",
        "--connections=1",
        "--for=100ms",
        "--preset=plain",
        &url,
        &publish,
    ];
    let run = Run::command(&words);
    assert_eq!(run.code, 0, "{}", run.said);
    let first = commands.recv().expect("a command");
    assert_eq!(first, ["AUTH", "app", "hush!"]);
    assert_eq!(commands.recv().expect("a command")[0], "PUBLISH");
    assert!(
        !run.json.contains("hush") && !run.said.contains("hush"),
        "{}",
        run.said
    );

    let (address, _commands) = redis("-WRONGPASS invalid username-password pair\r\n");
    let publish = format!("--publish=resp://:hush@{address}");
    let words = [
        "ingest",
        "--connections=1",
        "--for=100ms",
        "--preset=plain",
        &url,
        &publish,
    ];
    let run = Run::command(&words);
    assert_eq!(run.code, 1);
    assert!(
        run.said
            .contains("does not take the name and password: WRONGPASS"),
        "{}",
        run.said
    );
}
