//! HTTP/2 connections, which cannot move, over an upgrade.

use crate::node::{Upgraded, publish};
use crate::support::http2::Http2;

const EVENT_STREAM: (&str, &str) = ("accept", "text/event-stream");

#[test]
fn streams_over_http2_are_told_to_come_back_and_miss_nothing() {
    let upgraded = Upgraded::start(&["--retry", "2s"]);
    let node = &upgraded.node;
    let mut client = Http2::open(node.http);
    let mut bodies = ["/events/a", "/.well-known/mercure?topic=a"].map(|target| {
        let mut body = client.send("GET", target, &[EVENT_STREAM], "").into_body();
        let prime = client.read(&mut body, Some("\n\n"));
        assert!(prime.starts_with("retry: 2000\n"), "{prime:?}");
        body
    });
    let posted = client.send("POST", "/publish/a", &[], "before");
    assert_eq!(posted.status(), 200);
    let cursors = bodies.each_mut().map(|body| {
        let event = client.read(body, Some("data: before\n\n"));
        let id = event.lines().find_map(|line| line.strip_prefix("id: "));
        id.expect("an id").to_owned()
    });

    let said = upgraded.upgrade();
    for body in &mut bodies {
        let last = client.read(body, None);
        let ms = last.strip_prefix("retry: ").expect("a farewell");
        let ms: u64 = ms.trim_end().parse().expect("milliseconds");
        assert!((1_000..=3_000).contains(&ms), "{last:?}");
    }
    client.wait_for_end();
    let metrics = node.admin_get("/metrics").body;
    let ended: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("fantail_streams_closed_total"))
        .filter_map(|line| line.split_once("reason=\"upgrade\"")?.1.rsplit(' ').next())
        .map(|count| count.parse::<u64>().expect("a count"))
        .sum();
    assert_eq!(ended, 2, "{said}{metrics}");

    publish(node, "a", "meanwhile");
    let mut client = Http2::open(node.http);
    for cursor in cursors {
        let fields = [EVENT_STREAM, ("last-event-id", &cursor)];
        let answer = client.send("GET", "/events/a", &fields, "");
        let text = client.read(&mut answer.into_body(), Some("data: meanwhile\n\n"));
        assert!(!text.contains("before"), "{text:?}");
        assert!(!text.contains("gap"), "{text:?}");
    }
}
