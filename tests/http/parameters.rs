use crate::node::Node;
use crate::support::http::request;

#[test]
fn a_parameter_that_does_nothing_is_not_passed_over() {
    let node = Node::start();
    for (target, name, meant) in [
        ("/events?topics=b&topic=a", "topics", Some("topic")),
        ("/events?topic=a&lst=1", "lst", Some("last")),
        ("/events?topic=a&tail=1", "tail", Some("last")),
        ("/events?topic=a&sinc=10m", "sinc", Some("since")),
        (
            "/events?topic=a&Last-Event-ID=1-0",
            "Last-Event-ID",
            Some("last_event_id"),
        ),
        ("/events/a?topic%5B%5D=b", "topic[]", Some("topic")),
        ("/events/a?access_token=secret", "access_token", None),
        ("/events/a?zzz", "zzz", None),
        ("/events?match=a", "match", Some("topic")),
        ("/topics?prefx=a", "prefx", Some("prefix")),
        ("/topics/a?prefix=b", "prefix", None),
    ] {
        // First without a stream, which would not end.
        let head = request(node.address, "HEAD", target, &[], b"");
        assert_eq!(head.status, 400, "{target}");
        let answer = node.get(target);
        assert_eq!(answer.status, 400, "{target}");
        let problem = answer.json();
        assert_eq!(problem["field"], name, "{target}");
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains(&format!("`{name}`")), "{detail}");
        if let Some(meant) = meant {
            let hint = format!("did you mean `{meant}`?");
            assert!(detail.contains(&hint), "{target}: {detail}");
        }
        assert!(!detail.contains("secret"), "{detail}");
    }
    assert_eq!(node.hub.streams(), 0);
}

#[test]
fn a_parameter_beside_json_is_not_passed_over() {
    let node = Node::start();
    let event = r#"{"topic":"a","data":1}"#;
    for kind in ["application/json", "application/x-ndjson"] {
        for target in [
            "/publish?private=true",
            "/publish?topic=b",
            "/publish?event=e",
        ] {
            let answer = node.post(target, kind, event);
            assert_eq!(answer.status, 400, "{target}: {answer:?}");
        }
        assert_eq!(node.post("/publish?_=1", kind, event).status, 200);
    }
    assert_eq!(node.hub.history_len("a"), 2);
}

#[test]
fn parameters_that_pass_caches_by_mean_nothing() {
    let node = Node::start();
    for name in ["_", "t", "ts", "r", "cb", "nocache"] {
        let mut stream = node.subscribe(&format!("/events/a?{name}=1732269600123"));
        node.publish("a", name);
        assert_eq!(stream.take_data(1), [name]);
    }
    // Monitoring may add any parameter.
    assert_eq!(node.get("/healthz?verbose=1").status, 200);
    assert_eq!(node.get("/readyz?x").status, 200);
}

#[test]
fn a_wrong_start_of_a_stream_is_refused_and_named() {
    let node = Node::start();
    for (query, name) in [
        ("last=0", "last"),
        ("last=1001", "last"),
        ("last=ten", "last"),
        ("last=", "last"),
        ("last=1&last=2", "last"),
        ("since=ten", "since"),
        ("since=10", "since"),
        ("since=2026-01-31", "since"),
        ("since=", "since"),
        ("last=1&since=10m", "since"),
        // It would be ignored beside a cursor; a mistake is told all the same.
        ("last=x&last_event_id=earliest", "last"),
    ] {
        for target in [
            format!("/events/a?{query}"),
            format!("/events?{query}&topic=a"),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = request(node.address, method, &target, &[], b"");
                assert_eq!(answer.status, 400, "{method} {target}");
            }
            let problem = node.get(&target).json();
            assert_eq!(problem["field"], name, "{target}");
            let detail = problem["detail"].as_str().expect("a sentence");
            assert!(detail.contains(&format!("`{name}`")), "{detail}");
        }
    }
    let head = request(node.address, "HEAD", "/events/a?last=1", &[], b"");
    assert_eq!(head.status, 200);
    assert_eq!(node.hub.streams(), 0);
}

#[test]
fn a_wrong_form_of_a_stream_is_refused_by_name() {
    let node = Node::start();
    for (query, name, way_out) in [
        ("with=id", "with", "`topic`"),
        ("with", "with", "`topic`"),
        ("with=topic&with=topics", "with", "`topic`"),
        ("heartbeat=15s", "heartbeat", "`event`"),
        ("heartbeat=", "heartbeat", "`silent`"),
        ("heartbeat=event&heartbeat=silent", "heartbeat", "once"),
    ] {
        for path in ["/events", "/.well-known/mercure"] {
            let target = format!("{path}?topic=a&{query}");
            let head = request(node.address, "HEAD", &target, &[], b"");
            assert_eq!(head.status, 400, "{target}");
            let answer = node.get(&target);
            assert_eq!(answer.status, 400, "{target}");
            let problem = answer.json();
            assert_eq!(problem["field"], name, "{target}");
            let detail = problem["detail"].as_str().expect("a sentence");
            assert!(detail.contains(way_out), "{target}: {detail}");
        }
    }
    assert_eq!(node.get("/events/a?width=topic").status, 400);
    assert_eq!(node.get("/topics?with=topic").status, 400);
    assert_eq!(node.hub.streams(), 0);
}
