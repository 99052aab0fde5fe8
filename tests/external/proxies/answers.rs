//! What a proxy answers while the node is away, as curl reports it.

use std::thread;
use std::time::Duration;

use super::proxy::Proxy;
use crate::hub;
use crate::program;

/// Where a stream may be asked for.
const STREAMS: [&str; 4] = ["/events/news", "/events?topic=a%2Fb", hub::PATH, "/topics"];

/// Status and header fields, names in lower case.
struct Answer {
    asked: String,
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
}

/// What a node answers that has no connection left.
pub(super) const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\
    Content-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy";

/// A stream of one event, which then ends.
pub(super) const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
    Connection: close\r\n\r\ndata: a\n\n";

/// Where a client claims to be.
pub(super) const CLAIMED: &str = "192.0.2.1";

/// The exit code of a curl that has reached its `--max-time`.
const CURL_OUT_OF_TIME: i32 = 28;

/// What the clients of streams accept.
const ACCEPT: &str = "Accept: text/event-stream";

/// The node resets each connection when it has read the request.
pub(super) fn of_a_node_that_drops(proxy: &Proxy) {
    ask(proxy, "/events/a", &["-H", ACCEPT]).is_an_empty_stream();
    ask(proxy, hub::PATH, &["-d", "topic=a"]).is_a_failure();
}

/// The node answers [`BUSY`].
pub(super) fn of_a_busy_node(proxy: &Proxy, replaced: bool) {
    let stream = ask(proxy, "/events/a", &["-H", ACCEPT]);
    if replaced {
        stream.is_an_empty_stream();
    } else {
        assert_eq!(stream.status, 503);
    }
    let publish = ask(proxy, hub::PATH, &["-d", "topic=a"]);
    assert_eq!((publish.status, &*publish.body), (503, "busy"));
    assert_eq!(publish.field("retry-after"), Some("7"));
}

/// The node answers [`STREAM`].
pub(super) fn of_a_stream(proxy: &Proxy) {
    let claimed = format!("X-Forwarded-For: {CLAIMED}");
    let fields = [&*claimed, "Last-Event-ID: 7", ACCEPT];
    let arguments = fields.map(|field| ["-H", field]).concat();
    let answer = ask(proxy, "/events/a%2Fb%3F%23%25%3B?x=%2F", &arguments);
    assert_eq!((answer.status, &*answer.body), (200, "data: a\n\n"));
}

/// Streams are told to come back; lists and publishes fail, and are told when to try again; what is
/// not for the outside stays inside.
pub(super) fn check(proxy: &Proxy, origin: &str) {
    let origin_field = format!("Origin: {origin}");
    let list: &[&str] = &["-H", "Accept: application/json", "-H", &origin_field];
    let publish: &[&str] = &["-d", "topic=news", "-H", &origin_field];
    // An `EventSource` sends no POST, whatever it accepts.
    let accepting: &[&str] = &["-d", "topic=news", "-H", ACCEPT, "-H", &origin_field];
    let plain: &[&str] = &["-H", &origin_field];
    thread::scope(|scope| {
        for target in STREAMS {
            let field = &origin_field;
            scope.spawn(move || {
                let answer = ask(proxy, target, &["-H", ACCEPT, "-H", field]);
                answer.is_an_empty_stream();
                answer.may_be_read_by(origin);
                // A page of the proxy's own origin sends no `Origin`.
                ask(proxy, target, &["-H", ACCEPT]).is_an_empty_stream();
            });
        }
        for (target, arguments) in [
            ("/topics", list),
            (hub::PATH, publish),
            (hub::PATH, accepting),
            ("/events/news", plain),
        ] {
            scope.spawn(move || {
                let answer = ask(proxy, target, arguments);
                answer.is_a_failure();
                answer.may_be_read_by(origin);
            });
        }
        for target in ["/publish", "/healthz", "/eventsfoo"] {
            scope.spawn(move || assert_eq!(ask(proxy, target, &["-X", "POST"]).status, 404));
        }
    });
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| &**value);
        assert!(
            values.next().is_none(),
            "{name} is there twice: {}",
            self.asked
        );
        value
    }

    /// A browser takes it for a stream that ends, and comes back after `retry:`.
    fn is_an_empty_stream(&self) {
        let asked = &self.asked;
        assert_eq!(self.status, 200, "{asked}");
        assert_eq!(
            self.field("content-type"),
            Some("text/event-stream"),
            "{asked}"
        );
        assert_eq!(self.field("cache-control"), Some("no-store"), "{asked}");
        // Traefik has no body of its own to send: the delay that the node told stays.
        let retry = self
            .body
            .strip_prefix("retry: ")
            .and_then(|rest| rest.strip_suffix("\n\n"));
        let delay = retry.and_then(|digits| digits.parse::<u32>().ok());
        assert!(
            self.body.is_empty() || delay.is_some_and(|delay| (1_000..=4_000).contains(&delay)),
            "{asked}: {:?}",
            self.body
        );
    }

    /// A publisher is told that it failed, and when to try again.
    fn is_a_failure(&self) {
        let asked = &self.asked;
        assert!(matches!(self.status, 502..=504), "{asked}: {}", self.status);
        assert_eq!(self.field("retry-after"), Some("2"), "{asked}");
        assert_ne!(
            self.field("content-type"),
            Some("text/event-stream"),
            "{asked}"
        );
    }

    /// A page of another origin that sends its cookies is allowed to read it.
    fn may_be_read_by(&self, origin: &str) {
        let asked = &self.asked;
        let allowed = self.field("access-control-allow-origin");
        assert_eq!(allowed, Some(origin), "{asked}");
        let credentials = self.field("access-control-allow-credentials");
        assert_eq!(credentials, Some("true"), "{asked}");
    }
}

/// Whether a stream over HTTP/1.1 is still open after this time.
pub(super) fn stays_open(proxy: &Proxy, target: &str, time: Duration) -> bool {
    let mut curl = program::command("curl");
    curl.args(["--silent", "--insecure", "--http1.1", "--header", ACCEPT]);
    curl.args(["--max-time", &time.as_secs().to_string()]);
    let ended = curl.arg(proxy.url(target)).output().expect("curl is there");
    ended.status.code() == Some(CURL_OUT_OF_TIME)
}

/// The status alone; 0 without an answer.
pub(super) fn status(proxy: &Proxy, target: &str) -> u16 {
    let mut curl = program::command("curl");
    curl.args(["--silent", "--insecure", "--output", "/dev/null"]);
    curl.args(["--write-out", "%{http_code}", &proxy.url(target)]);
    let printed = curl.output().expect("curl is there").stdout;
    String::from_utf8_lossy(&printed).parse().unwrap_or(0)
}

/// One request by curl, over HTTP/2.
fn ask(proxy: &Proxy, target: &str, arguments: &[&str]) -> Answer {
    let url = proxy.url(target);
    let options = ["--silent", "--insecure", "--include", "--http2"];
    let printed = program::run("curl", &[&options, arguments, &[&url]].concat(), b"");
    let (head, body) = printed.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').expect("a header field");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Answer {
        asked: format!("{arguments:?} {target}: {printed}"),
        status: status.and_then(|code| code.parse().ok()).expect("a status"),
        fields: fields.collect(),
        body: body.to_owned(),
    }
}
