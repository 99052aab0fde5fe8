use crate::frames::{
    DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Peer, RST_STREAM, block, frame, get,
    literal,
};
use crate::support::node::Node;

/// The node's reaction to one bad request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It was answered, with a refusal or as any other.
    Answered,
    /// Its stream ended, and no other (RFC 9113 §8.1.1).
    Stream,
    /// Every stream of the connection ended.
    Connection,
}

/// Sends a request with this header block beside a stream; returns the fate of both.
fn verdict(node: &Node, block: &[u8]) -> Verdict {
    let mut peer = Peer::open(node.http, &[]);
    peer.send(&get(1, "/events/a"));
    peer.until("the stream", |frame| {
        frame.stream == 1 && frame.kind == DATA
    });
    peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 3, block));
    let is_answer = |frame: &Frame| frame.stream == 3 || frame.kind == GOAWAY;
    let answer = peer.until("an answer", is_answer);
    match answer.kind {
        HEADERS => Verdict::Answered,
        RST_STREAM => Verdict::Stream,
        _ => {
            assert_eq!(answer.kind, GOAWAY, "{answer:?}");
            peer.last_word();
            return Verdict::Connection;
        }
    };
    // The stream lives on.
    node.publish("a", "x");
    peer.until("the event", |frame| {
        frame.stream == 1 && String::from_utf8_lossy(&frame.payload).contains("data: x")
    });
    match answer.kind {
        HEADERS => Verdict::Answered,
        _ => Verdict::Stream,
    }
}

/// A `GET` with one more field.
fn with(name: &[u8], value: &[u8]) -> Vec<u8> {
    [block("GET", "/healthz"), literal(name, value)].concat()
}

/// A `GET` whose pseudo-header fields are these.
fn of(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let fields = fields.iter();
    fields
        .flat_map(|(name, value)| literal(name.as_bytes(), value))
        .collect()
}

#[test]
fn a_request_with_a_wrong_field_ends_no_stream_but_its_own_where_the_library_allows() {
    let node = Node::start();
    let method: (&str, &[u8]) = (":method", b"GET");
    let scheme: (&str, &[u8]) = (":scheme", b"http");
    let authority: (&str, &[u8]) = (":authority", b"localhost");
    let path: (&str, &[u8]) = (":path", b"/healthz");
    let requests = [
        ("DEL in a value", with(b"x-a", b"a\x7fb")),
        ("NUL in a value", with(b"x-a", b"a\0b")),
        ("CRLF in a value", with(b"x-a", b"a\r\nb: c")),
        ("bytes beyond ASCII in a value", with(b"x-a", b"\xff\xfe")),
        ("a name in upper case", with(b"X-A", b"b")),
        ("a space in a name", with(b"x a", b"b")),
        ("an empty name", with(b"", b"b")),
        ("an unknown pseudo-header field", with(b":what", b"b")),
        (
            "a pseudo-header field after others",
            [with(b"x-a", b"b"), of(&[path])].concat(),
        ),
        ("connection", with(b"connection", b"close")),
        ("te", with(b"te", b"gzip")),
        (
            "two lengths",
            [
                with(b"content-length", b"0"),
                literal(b"content-length", b"1"),
            ]
            .concat(),
        ),
        ("no length", with(b"content-length", b"x")),
        ("no path", of(&[method, scheme, authority])),
        ("no scheme", of(&[method, authority, path])),
        ("no method", of(&[scheme, authority, path])),
        (
            "an empty path",
            of(&[method, scheme, authority, (":path", b"")]),
        ),
        (
            "a path that is no UTF-8",
            of(&[method, scheme, authority, (":path", b"/a\xff")]),
        ),
        (
            "a space in the path",
            of(&[method, scheme, authority, (":path", b"/a b")]),
        ),
        (
            "DEL in the path",
            of(&[method, scheme, authority, (":path", b"/a\x7f")]),
        ),
        (
            "a method that is none",
            of(&[(":method", b"G T"), scheme, authority, path]),
        ),
        (
            "a scheme that is none",
            of(&[method, (":scheme", b"h ttp"), authority, path]),
        ),
        (
            "an authority that is none",
            of(&[method, scheme, (":authority", b"a b"), path]),
        ),
        (
            "an authority that is no UTF-8",
            of(&[method, scheme, (":authority", b"\xff"), path]),
        ),
        ("two paths", of(&[method, scheme, authority, path, path])),
        (
            "status",
            of(&[method, scheme, authority, path, (":status", b"200")]),
        ),
        ("too large", with(b"x-a", &[b'a'; 12_000])),
    ];
    // Faults that the h2 crate (0.4) finds while it decodes fields are errors of the connection to
    // it, and cannot be overridden; OPERATIONS.md mentions it for operators of proxies.
    let of_connection = [
        "DEL in a value",
        "NUL in a value",
        "CRLF in a value",
        "a name in upper case",
        "a space in a name",
        "an empty name",
        "an unknown pseudo-header field",
        "a path that is no UTF-8",
        "a method that is none",
        "an authority that is no UTF-8",
    ];
    let answered = ["bytes beyond ASCII in a value", "too large"];
    for (what, block) in &requests {
        let expected = if of_connection.contains(what) {
            Verdict::Connection
        } else if answered.contains(what) {
            Verdict::Answered
        } else {
            Verdict::Stream
        };
        assert_eq!(verdict(&node, block), expected, "{what}");
    }
}
