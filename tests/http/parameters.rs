use crate::node::Node;
use crate::support::http::request;

#[test]
fn a_parameter_that_does_nothing_is_not_passed_over() {
    let node = Node::start();
    for (target, name, meant) in [
        ("/events?topics=b&topic=a", "topics", Some("topic")),
        ("/events?topic=a&last=1", "last", Some("last_event_id")),
        ("/events?topic=a&since=10m", "since", Some("last_event_id")),
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
