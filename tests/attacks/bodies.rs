use std::collections::{HashMap, HashSet};
use std::io::Write;

use crate::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, INITIAL_WINDOW_SIZE, Peer, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, literal, post, reset,
};
use crate::innocent::Innocent;
use crate::readings::{metric, resident_bytes};
use crate::support::http::{Connection, Response, request};
use crate::support::node::Node;
use crate::support::wait_until;

const HELD: &str = "fantail_request_bodies_bytes ";
const SHED: &str = "fantail_request_bodies_shed_total ";

/// Bytes that a node may grow by beside the setting for bodies. The build under test is not
/// optimised.
const GROWTH_MAX: usize = 48 << 20;

/// Largest `DATA` that needs no setting.
const FRAME_BYTES: usize = 16 * 1024;

/// The beginning of a publish call over HTTP/1 whose body is `promised` bytes long.
fn begin(promised: usize) -> Vec<u8> {
    format!("POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {promised}\r\n\r\n")
        .into_bytes()
}

/// The head of a publish call over HTTP/2 whose body is data.
fn post_data(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block("POST", "/publish/a"))
}

fn publish(node: &Node, bytes: usize) -> Response {
    request(node.http, "POST", "/publish/a", &[], &vec![b'x'; bytes])
}

/// A client that never sends more than it may.
struct Sender {
    peer: Peer,
    /// Bytes of `DATA` that the connection may carry.
    credit: usize,
    /// Window of each stream, and the bytes sent on it.
    window: usize,
    spent: HashMap<u32, usize>,
    /// Streams that the node wants no more of.
    reset: HashSet<u32>,
}

impl Sender {
    fn open(node: &Node) -> Self {
        Self {
            peer: Peer::open(node.http, &[]),
            credit: 65_535,
            window: 65_535,
            spent: HashMap::new(),
            reset: HashSet::new(),
        }
    }

    /// Reads arrived frames; true when a frame of `bytes` on this stream may be sent.
    fn may_send(&mut self, stream: u32, bytes: usize) -> bool {
        while let Some(frame) = self.peer.next_now() {
            self.note(&frame);
        }
        self.credit >= bytes && self.credit_of(stream) >= bytes
    }

    /// Sends a frame of a body as soon as the window allows; nothing if the node refuses more.
    fn data(&mut self, stream: u32, bytes: &[u8]) {
        while !self.may_send(stream, bytes.len()) && !self.reset.contains(&stream) {
            let frame = self.peer.next().expect("leave to send");
            self.note(&frame);
        }
        if self.reset.contains(&stream) {
            return;
        }
        self.credit -= bytes.len();
        *self.spent.entry(stream).or_default() += bytes.len();
        assert!(self.peer.send(&frame(DATA, 0, stream, bytes)));
    }

    fn note(&mut self, frame: &Frame) {
        match (frame.kind, frame.stream) {
            (SETTINGS, _) => {
                for value in frame.payload.chunks(6) {
                    if value[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                        let bytes = value[2..].try_into().expect("four bytes");
                        self.window = u32::from_be_bytes(bytes) as usize;
                    }
                }
            }
            (WINDOW_UPDATE, 0) => self.credit += frame.code() as usize,
            (WINDOW_UPDATE, stream) => {
                *self.spent.entry(stream).or_default() -= frame.code() as usize;
            }
            (RST_STREAM, stream) => {
                self.reset.insert(stream);
            }
            _ => {}
        }
    }

    fn credit_of(&self, stream: u32) -> usize {
        self.window - self.spent.get(&stream).copied().unwrap_or_default()
    }
}

#[test]
fn http1_bodies_that_never_end_take_up_no_more_than_they_may() {
    let node = Node::start_with(&[
        "--body-budget-bytes",
        "4MiB",
        "--data-bytes-max",
        "1MiB",
        "--history-bytes",
        "2MiB",
    ]);
    let mut innocent = Innocent::join(&node);
    innocent.check(1);
    let bytes = resident_bytes(&node);
    innocent.beside(|| {
        let body = vec![b'x'; 2 << 20];
        let hostile: Vec<_> = (0..100)
            .map(|_| {
                let mut connection = Connection::open(node.http);
                connection.send(&begin(body.len() + 1));
                // Fails if the node has ended it.
                let _ended = connection.socket().write_all(&body);
                connection
            })
            .collect();
        wait_until("most are refused", || metric(&node, SHED) > 80);
        assert!(metric(&node, HELD) > 1 << 20, "some are waited for");
        assert!(metric(&node, HELD) <= 4 << 20);
        // Small bodies still have room.
        for size in [10, 4 * 1024, 4 * 1024 + 1, 10_000] {
            assert_eq!(publish(&node, size).status, 200, "{size}");
        }
        let grown = resident_bytes(&node).saturating_sub(bytes);
        assert!(grown < GROWTH_MAX, "{grown} bytes more");
        drop(hostile);
    });
    wait_until("all is given back", || metric(&node, HELD) == 0);
    assert_eq!(publish(&node, 1 << 20).status, 200);
}

#[test]
fn http2_bodies_that_never_end_take_up_no_more_than_they_may() {
    let node = Node::start_with(&[
        "--data-bytes-max",
        "1MiB",
        "--history-bytes",
        "2MiB",
        "--body-bytes-per-connection-max",
        "4MiB",
    ]);
    let mut innocent = Innocent::join(&node);
    innocent.check(1);
    let bytes = resident_bytes(&node);
    innocent.beside(|| {
        let mut sender = Sender::open(&node);
        let streams: Vec<u32> = (0..200).map(|n| 2 * n + 1).collect();
        for stream in &streams {
            assert!(sender.peer.send(&post_data(*stream)));
        }
        for _ in 0..64 {
            for stream in &streams {
                sender.data(*stream, &[b'x'; FRAME_BYTES]);
            }
            if metric(&node, SHED) > 150 {
                break;
            }
        }
        assert!(metric(&node, SHED) > 150);
        assert!(metric(&node, HELD) > 1 << 20, "some are waited for");
        assert!(metric(&node, HELD) <= 4 << 20);
        let grown = resident_bytes(&node).saturating_sub(bytes);
        assert!(grown < GROWTH_MAX, "{grown} bytes more");
        // Other connections have their own share, and on this one small bodies still have room.
        assert_eq!(publish(&node, 1 << 20).status, 200);
        let next = streams.len() as u32 * 2 + 1;
        assert!(sender.peer.send(&post_data(next)));
        sender.data(next, &[b'x'; 10_000]);
        assert!(sender.peer.send(&frame(DATA, END_STREAM, next, &[])));
        let head = sender.peer.until("an answer", |frame| {
            frame.kind == HEADERS && frame.stream == next
        });
        assert_eq!(head.payload[0], 0x88, "`:status: 200`");
    });
    wait_until("all is given back", || metric(&node, HELD) == 0);
}

#[test]
fn a_body_that_finds_no_room_is_told_so_and_whether_its_connection_lives() {
    let node = Node::start_with(&["--body-budget-bytes", "1MiB", "--data-bytes-max", "1MiB"]);
    let mut first = Connection::open(node.http);
    first.send(&begin(500_000));
    first.send(&vec![b'x'; 499_999]);
    wait_until("it is held", || metric(&node, HELD) >= 499_999);
    // A short rest is read, and the connection lives; a long one is not.
    for (size, lives) in [(300_000, true), (1_000_000, false)] {
        let mut second = Connection::open(node.http);
        second.send(&begin(size));
        second.send(&vec![b'x'; 299_999]);
        if lives {
            second.send(b"x");
        }
        let answer = second.response("POST");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.field("retry-after").is_some(), "{answer:?}");
        assert!(answer.body.contains("body_budget_bytes"), "{answer:?}");
        if lives {
            assert_eq!(answer.head.field("connection"), None);
            second.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(second.response("GET").status, 200);
        } else {
            assert_eq!(answer.head.field("connection"), Some("close"));
            assert!(second.at_end());
        }
    }
    // The one that was there first is not harmed.
    first.send(b"x");
    assert_eq!(first.response("POST").status, 200);
    wait_until("all is given back", || metric(&node, HELD) == 0);
}

#[test]
fn what_a_body_takes_up_is_given_back_however_it_ends() {
    let node = Node::start_with(&["--body-timeout", "2s"]);
    let part = vec![b'x'; 100_000];
    let held = || wait_until("it is held", || metric(&node, HELD) >= 100_000);
    let given_back = |how: &str| wait_until(how, || metric(&node, HELD) == 0);
    let begun = || {
        let mut connection = Connection::open(node.http);
        connection.send(&begin(100_001));
        connection.send(&part);
        held();
        connection
    };

    let mut connection = begun();
    connection.send(b"x");
    assert_eq!(connection.response("POST").status, 200);
    given_back("published");

    let mut connection = begun();
    connection.send(b"\xff");
    assert_eq!(connection.response("POST").status, 400);
    given_back("refused");

    drop(begun());
    given_back("disconnected");

    assert_eq!(begun().response("POST").status, 408);
    given_back("timed out");

    let mut sender = Sender::open(&node);
    let mut open = |stream| {
        assert!(sender.peer.send(&post_data(stream)));
        for part in part.chunks(FRAME_BYTES) {
            sender.data(stream, part);
        }
        held();
    };
    open(1);
    open(3);
    wait_until("both are held", || metric(&node, HELD) >= 200_000);
    assert!(sender.peer.send(&reset(1, CANCEL)));
    wait_until("one is reset", || metric(&node, HELD) < 200_000);
    assert!(sender.peer.send(&frame(DATA, END_STREAM, 3, b"x")));
    given_back("published over HTTP/2");
    assert_eq!(metric(&node, SHED), 0);
}

#[test]
fn of_ndjson_only_the_line_in_hand_is_held() {
    let node = Node::start_with(&["--body-budget-bytes", "1MiB", "--data-bytes-max", "1MiB"]);
    let mut sender = Sender::open(&node);
    assert!(sender.peer.send(&post(1, "/publish")));
    let data = "x".repeat(FRAME_BYTES - 100);
    let line = format!("{{\"topic\": \"a\", \"data\": \"{data}\"}}\n").into_bytes();
    // Ten times the allowed bytes, in pieces that do not end at line ends.
    let lines = line.repeat(10 * (1 << 20) / line.len());
    for piece in lines.chunks(FRAME_BYTES) {
        sender.data(1, piece);
    }
    wait_until("all lines were taken", || metric(&node, HELD) == 0);
    let long = vec![b' '; 400_000];
    for piece in long.chunks(FRAME_BYTES) {
        sender.data(1, piece);
    }
    wait_until("a long line is held", || metric(&node, HELD) >= 400_000);
    // One beside it that is as long has no room.
    let mut head = block("POST", "/publish");
    head.extend(literal(b"content-type", b"application/x-ndjson"));
    assert!(sender.peer.send(&frame(HEADERS, END_HEADERS, 3, &head)));
    for piece in long.chunks(FRAME_BYTES) {
        sender.data(3, piece);
    }
    wait_until("it is refused", || metric(&node, SHED) == 1);
    assert!(sender.peer.send(&frame(DATA, END_STREAM, 1, b"\n")));
    let head = sender.peer.until("an answer", |frame| {
        frame.kind == HEADERS && frame.stream == 1
    });
    assert_eq!(head.payload[0], 0x88, "`:status: 200`");
    wait_until("all is given back", || metric(&node, HELD) == 0);
}

#[test]
fn http2_lines_that_outrun_the_node_wait_and_do_not_end_their_connection() {
    const LINES: usize = 30_000;
    const LINE: &[u8] = b"{\"topic\":\"a\",\"data\":\"outrun\"}\n";
    let node = Node::start();
    let mut sender = Sender::open(&node);
    assert!(sender.peer.send(&post(1, "/publish")));
    let mut left = LINES;
    // As many as may be, each in a frame of its own.
    let line = frame(DATA, 0, 1, LINE);
    while left > 0 {
        sender.data(1, LINE);
        left -= 1;
        let room = sender.credit.min(sender.credit_of(1)) / LINE.len();
        let count = room.min(left);
        sender.credit -= count * LINE.len();
        *sender.spent.entry(1).or_default() += count * LINE.len();
        assert!(sender.peer.send(&line.repeat(count)), "it lives");
        left -= count;
    }
    assert!(sender.peer.send(&frame(DATA, END_STREAM, 1, &[])));
    let answer = sender
        .peer
        .until("an answer", |frame| frame.kind == DATA && frame.stream == 1);
    let answer = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(answer.contains(&LINES.to_string()), "{answer}");
}

#[test]
fn http2_requests_with_long_heads_whose_bodies_never_come_take_up_no_more_than_they_may() {
    let node = Node::start_with(&[
        "--body-bytes-per-connection-max",
        "1MiB",
        "--body-budget-bytes",
        "2MiB",
        "--data-bytes-max",
        "1MiB",
    ]);
    let mut sender = Sender::open(&node);
    let field = vec![b'v'; 14_000];
    let mut head = block("POST", "/publish/a");
    head.extend(literal(b"x-long", &field));
    for n in 0..200 {
        let head = frame(HEADERS, END_HEADERS, 2 * n + 1, &head);
        assert!(sender.peer.send(&head));
    }
    wait_until("most are refused", || metric(&node, SHED) > 120);
    assert!(metric(&node, HELD) > 500_000, "some are waited for");
    assert!(metric(&node, HELD) <= 1 << 20);
    drop(sender);
    wait_until("all is given back", || metric(&node, HELD) == 0);
    // To the node, too, by those that only their connection had no room for.
    assert_eq!(publish(&node, 800_000).status, 200);
}
