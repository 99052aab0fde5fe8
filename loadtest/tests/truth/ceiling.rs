//! `ceiling`, beside a log that is as little of a Redis as it needs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::faulty::{Fault, Faulty};
use crate::harness::Run;

/// The entries of the one key, with all arguments of `XADD`.
type Entries = Arc<(Mutex<Vec<Vec<String>>>, Condvar)>;

/// Commands that were sent.
type Commands = Arc<Mutex<Vec<String>>>;

fn start_log() -> (SocketAddr, Commands) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let (entries, commands) = (Entries::default(), Commands::default());
    let seen = Arc::clone(&commands);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let (entries, commands) = (Arc::clone(&entries), Arc::clone(&commands));
            // A client that disconnects ends its thread with an error, which is expected.
            thread::spawn(move || serve(connection, &entries, &commands));
        }
    });
    (address, seen)
}

fn serve(mut connection: TcpStream, entries: &Entries, commands: &Commands) -> Option<()> {
    let mut input = BufReader::new(connection.try_clone().ok()?);
    loop {
        let words = read_command(&mut input)?;
        let name = words[0].to_ascii_uppercase();
        commands.lock().expect("no panic").push(name.clone());
        let (all, added) = &**entries;
        let reply = match name.as_str() {
            "XADD" => {
                let mut all = all.lock().expect("no panic");
                let fields = words.iter().skip_while(|word| *word != "*").skip(1);
                all.push(fields.cloned().collect());
                added.notify_all();
                bulk(&format!("{}-0", all.len()))
            }
            "XREVRANGE" => {
                let all = all.lock().expect("no panic");
                format!("*1\r\n{}", entry(all.len(), &all[all.len() - 1]))
            }
            "XREAD" => {
                let last = words.last()?.split('-').next()?.parse().ok()?;
                let all = all.lock().expect("no panic");
                let patience = Duration::from_millis(100);
                let nothing = |all: &mut Vec<Vec<String>>| all.len() <= last;
                let (all, _) = added
                    .wait_timeout_while(all, patience, nothing)
                    .expect("no panic");
                let new = all.iter().enumerate().skip(last).take(1_000);
                let new: Vec<String> = new.map(|(at, fields)| entry(at + 1, fields)).collect();
                match new.len() {
                    0 => "*-1\r\n".to_owned(),
                    count => format!("*1\r\n*2\r\n{}*{count}\r\n{}", bulk("key"), new.concat()),
                }
            }
            _ => ":1\r\n".to_owned(),
        };
        connection.write_all(reply.as_bytes()).ok()?;
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn entry(number: usize, fields: &[String]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| bulk(field)).collect();
    let id = bulk(&format!("{number}-0"));
    format!("*2\r\n{id}*{}\r\n{}", fields.len(), fields.concat())
}

fn read_command(input: &mut impl BufRead) -> Option<Vec<String>> {
    let count = read_number(input, '*')?;
    let word = |_| {
        let mut text = vec![0; read_number(input, '$')? + 2];
        input.read_exact(&mut text).ok()?;
        text.truncate(text.len() - 2);
        String::from_utf8(text).ok()
    };
    (0..count).map(word).collect()
}

fn read_number(input: &mut impl BufRead, kind: char) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    line.strip_prefix(kind)?.trim().parse().ok()
}

#[test]
fn nodes_are_measured_against_what_their_log_takes_alone() {
    let first = Faulty::start(Fault::None);
    let second = first.beside(Fault::None);
    let (log, commands) = start_log();
    let mut words = vec![
        "ceiling".to_owned(),
        "--preset=plain".to_owned(),
        format!("--log=redis://{log}"),
        "--for=500ms".to_owned(),
        "--rate=100".to_owned(),
        "--connections=1".to_owned(),
        "--assert=lost == 0".to_owned(),
        "--assert=share_of_log > 0".to_owned(),
        "--assert=delivery_p99 < 10s".to_owned(),
        "--assert=added_p99 < 10s".to_owned(),
    ];
    for node in [&first, &second] {
        words.push(format!("--url=http://{}/events?{{topics}}", node.address()));
        words.push(format!(
            "--publish=http://{}/publish/{{topic}}",
            node.address()
        ));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let run = Run::command(&words);
    assert_eq!(run.code, 0, "{}", run.said);
    assert_eq!(run.first_latency(), "delivery");
    assert_eq!((run.figure("tails"), run.figure("streams")), (2, 2));
    assert!(run.figure("log_events_per_s") > 0, "{}", run.said);
    // Two tails read each entry of half a second.
    assert!(run.latency("log") >= 2, "{}", run.said);
    let commands = commands.lock().expect("no panic");
    assert_eq!(
        commands.last().map(String::as_str),
        Some("DEL"),
        "the key is deleted"
    );
}

#[test]
fn a_log_that_is_not_there_is_said_so_before_anything_is_started() {
    let words = ["ceiling", "--log=redis://app:hush@127.0.0.1:1"];
    let (code, text) = Run::refused(&words);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("--log redis://(hidden)@127.0.0.1:1: "),
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
}
