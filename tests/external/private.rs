//! Private events, resume and refusal, by every client that can send the header `Authorization`.

use crate::hub;
use crate::watcher::{Client, Fired, Report, Watcher};

/// A test for each client, by its name.
macro_rules! by_each_client {
    ($test:ident: $($name:ident $client:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            $test(Client::$client);
        })+
    };
}

by_each_client! { hears_what_its_token_grants:
    npm_hears_what_its_token_grants Npm,
    eventsource_client_hears_what_its_token_grants EventsourceClient,
    fetch_event_source_hears_what_its_token_grants FetchEventSource,
    httpx_sse_hears_what_its_token_grants HttpxSse,
    sseclient_py_hears_what_its_token_grants SseclientPy,
}

by_each_client! { comes_back_with_its_cursor:
    npm_comes_back_with_its_cursor Npm,
    eventsource_client_comes_back_with_its_cursor EventsourceClient,
    fetch_event_source_comes_back_with_its_cursor FetchEventSource,
    httpx_sse_comes_back_with_its_cursor HttpxSse,
    sseclient_py_comes_back_with_its_cursor SseclientPy,
}

by_each_client! { is_refused_for_good:
    npm_is_refused_for_good Npm,
    eventsource_client_is_refused_for_good EventsourceClient,
    fetch_event_source_is_refused_for_good FetchEventSource,
    httpx_sse_is_refused_for_good HttpxSse,
    sseclient_py_is_refused_for_good SseclientPy,
}

by_each_client! { goes_on_with_a_new_token:
    npm_goes_on_with_a_new_token Npm,
    eventsource_client_goes_on_with_a_new_token EventsourceClient,
    fetch_event_source_goes_on_with_a_new_token FetchEventSource,
    httpx_sse_goes_on_with_a_new_token HttpxSse,
    sseclient_py_goes_on_with_a_new_token SseclientPy,
}

/// Events of a publisher without a name of their own.
fn message(id: &str, data: &str) -> Fired {
    Fired {
        event: "message".to_owned(),
        id: id.to_owned(),
        data: data.to_owned(),
    }
}

fn private<'a>(topic: &'a str, data: &'a str) -> [(&'a str, &'a str); 3] {
    [("topic", topic), ("data", data), ("private", "on")]
}

fn ada() -> String {
    hub::token(&["--subscribe", "user/ada", "--exp", "1h"])
}

fn hears_what_its_token_grants(client: Client) {
    let (mut watcher, node) = Watcher::with_node(client, &hub::FLAGS);
    let url = hub::stream(&node, &["user/{name}", "news"]);
    watcher.order_with_tokens(&url, &["note"], &[&ada()]);
    assert_eq!(watcher.report(), Report::Open);
    node.wait_for_streams(1);

    hub::publish(&node, &private("user/bob", "only for Bob"));
    let to_all = hub::publish(&node, &[("topic", "user/bob"), ("data", "for all, of Bob")]);
    hub::publish(
        &node,
        &private("news", "for those who may hear private news"),
    );
    let mut form = private("user/ada", "only\nfor Ada").to_vec();
    form.push(("type", "note"));
    let to_ada = hub::publish(&node, &form);
    // As publishers of the protocol name theirs.
    let named = "urn:uuid:e1ee88e2-532a-4d6f-ba70-f0f8bd584022";
    let given = hub::publish(&node, &[("topic", "news"), ("id", named), ("data", "é")]);

    assert_eq!(watcher.event(), message(&to_all, "for all, of Bob"));
    let note = Fired {
        event: "note".to_owned(),
        ..message(&to_ada, "only\nfor Ada")
    };
    assert_eq!(watcher.event(), note);
    assert_eq!(watcher.event(), message(&given, "é"));
    assert_eq!(given, named);
    assert!(to_ada.starts_with("urn:uuid:"), "{to_ada}");
    assert_eq!(watcher.opened, 1);
}

fn comes_back_with_its_cursor(client: Client) {
    const CUTS: usize = 3;
    let (mut watcher, node) = Watcher::with_node(client, &hub::FLAGS);
    let url = hub::stream(&node, &["user/ada"]);
    watcher.order_with_tokens(&url, &[], &[&ada()]);
    let publish = |data: &str| message(&hub::publish(&node, &private("user/ada", data)), data);
    for cut in 0..CUTS {
        let stream = &node.wait_for_streams(1)[0];
        // Some of these clients have a cursor only once they have heard an event.
        let at_once = publish(&format!("{cut}: at once"));
        assert_eq!(watcher.event(), at_once);
        node.cut(stream);
        let away = publish(&format!("{cut}: while it was away, or on its way back"));
        assert_eq!(watcher.event(), away);
    }
    assert_eq!(watcher.opened, CUTS + 1);
}

fn is_refused_for_good(client: Client) {
    let (mut watcher, node) = Watcher::with_node(client, &hub::FLAGS);
    let url = hub::stream(&node, &["user/ada"]);
    let foreign = hub::token_of(
        "another secret of more than thirty-two bytes",
        &["--subscribe", "*"],
    );
    for tokens in [&[][..], &[foreign.as_str()]] {
        watcher.order_with_tokens(&url, &[], tokens);
        let refused = Report::Error {
            closed: true,
            status: Some(401),
        };
        assert_eq!(watcher.report(), refused, "with {} tokens", tokens.len());
    }
}

/// A stream ends with its token. A client with a new one then misses nothing; one without is
/// refused.
fn goes_on_with_a_new_token(client: Client) {
    let (mut watcher, node) = Watcher::with_node(client, &hub::FLAGS);
    let url = hub::stream(&node, &["user/ada"]);
    let first = hub::token(&["--subscribe", "user/ada", "--exp", "4s"]);
    watcher.order_with_tokens(&url, &[], &[&first, &ada(), &first]);
    assert_eq!(watcher.report(), Report::Open);
    let id = hub::publish(&node, &private("user/ada", "before"));
    assert_eq!(watcher.report(), Report::Event(message(&id, "before")));

    let ended = watcher.report();
    assert!(
        matches!(ended, Report::Error { closed: false, .. }),
        "{ended:?}"
    );
    let id = hub::publish(&node, &private("user/ada", "between or after"));
    assert_eq!(watcher.event(), message(&id, "between or after"));
    assert_eq!(watcher.opened, 2);

    node.cut(&node.wait_for_streams(1)[0]);
    let ended = watcher.report();
    assert!(
        matches!(ended, Report::Error { closed: false, .. }),
        "{ended:?}"
    );
    let refused = Report::Error {
        closed: true,
        status: Some(401),
    };
    assert_eq!(watcher.report(), refused, "its token has expired");
}
