//! RFC 9112 to the letter: a table of raw requests, asked over a socket and of the guard alone.

mod table;

use std::io::Write;

use fantail::server::{RequestGuard, RequestLimits};

use self::table::{Row, Then, rows};
use crate::node::Node;
use crate::support::http::Connection;

/// A request that is answered with 200, and one that would publish.
const BEFORE: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
const AFTER: &[u8] = b"POST /publish/after HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";

/// An answer and its connection, as seen from outside.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    status: u16,
    lives: bool,
}

fn send(connection: &Connection, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece) {
        // The node may have ended the connection already.
        if connection.socket().write_all(piece).is_err() {
            return;
        }
    }
}

/// Reads the answer, and finds out whether the connection lives: by the answer's word, and by
/// another request.
fn verdict(connection: &mut Connection, row: &Row) -> Verdict {
    let answer = connection.response("GET");
    let said = answer.head.field("connection");
    // Without a header, the version's own rule applies.
    let lives = said == Some("keep-alive") || (said.is_none() && answer.head.version == "HTTP/1.1");
    if lives {
        connection.send(BEFORE);
        assert_eq!(
            connection.response("GET").status,
            200,
            "{}: it said that it lives",
            row.note
        );
    } else {
        assert!(connection.at_end(), "{}: it said that it ends", row.note);
    }
    Verdict {
        status: answer.status,
        lives,
    }
}

fn expect(row: &Row, how: &str, found: &Verdict) {
    let request = row.request.escape_ascii();
    assert!(
        row.status.contains(&found.status) && found.lives == (row.then == Then::Lives),
        "{how}, section {}, {}: {found:?}, not {:?} and {:?}\n{request}",
        row.section,
        row.note,
        row.status,
        row.then
    );
}

#[test]
fn every_request_of_the_table_has_its_answer_whole_and_byte_by_byte() {
    let node = Node::start();
    let rows = rows();
    assert!(rows.len() >= 200, "{}", rows.len());
    let mut published = 0;
    for row in &rows {
        for (how, piece) in [("whole", row.request.len()), ("byte by byte", 1)] {
            let mut connection = node.connect();
            send(&connection, &row.request, piece);
            expect(row, how, &verdict(&mut connection, row));
            let count = node.hub.history_len("t");
            assert!(
                row.status == [200] || count == published,
                "{how}, {}: a refused request was run",
                row.note
            );
            published = count;
        }
    }
}

#[test]
fn what_is_before_a_bad_request_is_answered_and_nothing_after_it_is_run() {
    let node = Node::start();
    for row in rows().iter().filter(|row| row.then == Then::Closes) {
        let text = [BEFORE, BEFORE, &row.request, AFTER].concat();
        for (how, piece) in [("whole", text.len()), ("in pieces", 7)] {
            let mut connection = node.connect();
            send(&connection, &text, piece);
            for _ in 0..2 {
                assert_eq!(
                    connection.response("GET").status,
                    200,
                    "{how}, {}",
                    row.note
                );
            }
            expect(row, how, &verdict(&mut connection, row));
        }
        assert_eq!(node.hub.history_len("after"), 0, "{}", row.note);
    }
}

#[test]
fn what_is_after_a_good_request_is_run() {
    let node = Node::start();
    let mut after = 0;
    for row in rows().iter().filter(|row| row.then == Then::Lives) {
        let mut connection = node.connect();
        send(&connection, &[&row.request, AFTER].concat(), usize::MAX);
        let first = connection.response("GET");
        assert!(
            row.status.contains(&first.status),
            "{}: {first:?}",
            row.note
        );
        assert_eq!(connection.response("POST").status, 200, "{}", row.note);
        after += 1;
        assert_eq!(node.hub.history_len("after"), after);
    }
}

#[test]
fn the_guard_alone_comes_to_the_same_verdict_however_the_bytes_are_cut() {
    let limits = RequestLimits {
        trailer_bytes_max: 32 << 10,
        trailer_count_max: 100,
    };
    for row in &rows() {
        let whole = {
            let mut guard = RequestGuard::new(limits);
            (guard.receive(&row.request), guard.fault())
        };
        assert_eq!(whole.1.is_none(), row.passes, "{}: {whole:?}", row.note);
        for piece in [1, 2, 3, 7] {
            let mut guard = RequestGuard::new(limits);
            let passed: usize = row
                .request
                .chunks(piece)
                .map(|piece| guard.receive(piece))
                .sum();
            assert_eq!(
                (passed, guard.fault()),
                whole,
                "{} in pieces of {piece}",
                row.note
            );
            let is_whole = row.passes && row.then == Then::Lives;
            assert!(guard.is_between_requests() || !is_whole, "{}", row.note);
        }
    }
}
