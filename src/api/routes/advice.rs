//! Advice for a wrong path or method: the call that the caller most likely meant.

use std::borrow::Cow;

use hyper::Method;

use super::Resource;
use crate::api::mercure;
use crate::hub::presence::SUBSCRIPTIONS_PATH;

/// Longest topic that an answer repeats, as it stands in a path.
const TOPIC_BYTES_MAX: usize = 128;

const SUBSCRIBE: &str = "streams are read with `GET /events?topic=…` or `GET /events/…`";
const PUBLISH: &str =
    "events are published with `POST /publish/…` (the body is the data) or `POST /publish` (JSON)";
const TOPICS: &str = "topics are listed with `GET /topics`";
const ADMIN: &str = "metrics and streams are on the admin listener (setting `admin_listen`): `GET /metrics`, `GET /streams`";

/// First words of paths that other servers have, or that resemble ours, with our call for the same.
const PLACES: [(&[&str], &str); 6] = [
    (
        &[
            "event",
            "stream",
            "sse",
            "subscribe",
            "sub",
            "listen",
            "channel",
            "channels",
            "updates",
            "broadcasting",
        ],
        SUBSCRIBE,
    ),
    (
        &[
            "pub", "post", "send", "emit", "push", "message", "messages", "notify",
        ],
        PUBLISH,
    ),
    (&["topic"], TOPICS),
    (
        &[
            "metrics",
            "streams",
            "admin",
            "prometheus",
            "stats",
            "status",
            "debug",
        ],
        ADMIN,
    ),
    (
        &["health", "healthcheck", "live", "livez", "alive", "ping"],
        "health is told by `GET /healthz`",
    ),
    (
        &["ready", "readiness"],
        "readiness is told by `GET /readyz`",
    ),
];

/// The call to use instead of an unknown path.
pub(super) fn of_path(path: &str) -> &'static str {
    let lower = path.to_ascii_lowercase();
    if lower.starts_with(SUBSCRIPTIONS_PATH) {
        return "subscriptions are listed where `mercure_subscriptions` is set";
    }
    if lower.trim_start_matches('/').starts_with("mercure") || lower.starts_with(mercure::PATH) {
        return "the Mercure hub is `/.well-known/mercure`";
    }
    let words: Vec<&str> = lower.split('/').filter(|word| !word.is_empty()).collect();
    // After a version or a mount point, the next word decides.
    let told = words.iter().take(3).find_map(|word| {
        let own = match *word {
            "events" => Some(SUBSCRIBE),
            "publish" => Some(PUBLISH),
            "topics" => Some(TOPICS),
            "healthz" => Some("health is told by `GET /healthz`"),
            "readyz" => Some("readiness is told by `GET /readyz`"),
            _ => None,
        };
        own.or_else(|| {
            let mut places = PLACES.iter();
            places.find_map(|(names, call)| names.contains(word).then_some(*call))
        })
    });
    told.unwrap_or(SUBSCRIBE)
}

/// Advice for a method that the resource does not have.
pub(super) fn of_method(resource: Resource<'_>, method: &Method) -> Cow<'static, str> {
    let topic = match resource {
        Resource::Events(topic) | Resource::Publish(topic) | Resource::Topics(topic) => topic,
        Resource::History(topic) => Some(topic),
        _ => None,
    };
    let told = call_for(resource, method);
    match topic.filter(|topic| topic.len() <= TOPIC_BYTES_MAX) {
        Some(topic) => told.replacen("/…`", &format!("/{topic}`"), 1).into(),
        None => told.into(),
    }
}

fn call_for(resource: Resource<'_>, method: &Method) -> &'static str {
    if method
        .as_str()
        .bytes()
        .any(|byte| byte.is_ascii_lowercase())
    {
        return "methods are written in capitals";
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match resource {
        Resource::Publish(_) if reads => SUBSCRIBE,
        Resource::Events(_) | Resource::Topics(_) | Resource::History(_)
            if *method == Method::DELETE =>
        {
            "history leaves by itself (`history_age`); operators end streams and erase history on the admin listener: `DELETE /streams/{id}`, `DELETE /topics/{topic}`"
        }
        Resource::Events(_) | Resource::Topics(_) | Resource::History(_) | Resource::Publish(_) => {
            PUBLISH
        }
        Resource::Subscriptions => {
            "a subscription begins with `GET /.well-known/mercure?topic=…` and ends with its stream"
        }
        Resource::Mercure => "updates are published with `POST`, streams read with `GET`",
        Resource::Health | Resource::Ready => "ask with `GET`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_told_the_call_that_does_it() {
        for (path, call) in [
            ("/", "GET /events"),
            ("/subscribe", "GET /events"),
            ("/stream/news", "GET /events"),
            ("/Events/news", "GET /events"),
            ("/v1/events", "GET /events"),
            ("/event/", "GET /events"),
            ("/pub?id=1", "GET /events"),
            ("/pub", "POST /publish"),
            ("/api/publish/news", "POST /publish"),
            ("/topic/a", "GET /topics"),
            ("/metrics", "admin_listen"),
            ("/streams/3", "admin_listen"),
            ("/healthz/", "/healthz"),
            ("/livez", "/healthz"),
            ("/readiness", "/readyz"),
            ("/mercure", "/.well-known/mercure"),
            ("/.well-known/mercure/", "/.well-known/mercure"),
            (
                "/.well-known/mercure/subscriptions/a",
                "mercure_subscriptions",
            ),
        ] {
            assert!(of_path(path).contains(call), "{path}: {}", of_path(path));
        }
        for (resource, method, call) in [
            (
                Resource::Events(Some("news")),
                Method::POST,
                "POST /publish",
            ),
            (Resource::Events(None), Method::PUT, "POST /publish"),
            (Resource::Topics(None), Method::POST, "POST /publish"),
            (Resource::Publish(None), Method::GET, "GET /events"),
            (Resource::Publish(Some("a")), Method::PUT, "POST /publish"),
            (Resource::Topics(Some("a")), Method::DELETE, "history"),
            (Resource::Health, Method::POST, "GET"),
        ] {
            let told = of_method(resource, &method);
            assert!(told.contains(call), "{method} {resource:?}: {told}");
        }
    }
}
