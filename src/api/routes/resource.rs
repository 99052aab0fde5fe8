//! The table of paths, and the methods of each.

use crate::api::mercure;
use crate::hub::presence::SUBSCRIPTIONS_PATH;

/// The end of the path of a topic's history.
const HISTORY: &str = "/events";

/// The resource of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    /// `/events` and `/events/{topic}`; all that follows `/events/` is the topic, still encoded.
    Events(Option<&'a str>),
    /// `/publish` and `/publish/{topic}`.
    Publish(Option<&'a str>),
    /// `/topics` and `/topics/{topic}`.
    Topics(Option<&'a str>),
    /// `/topics/{topic}/events`. A topic whose name ends so is written with `%2Fevents`.
    History(&'a str),
    /// `/.well-known/mercure`.
    Mercure,
    /// `/.well-known/mercure/subscriptions` and what follows it.
    Subscriptions,
    /// `/healthz`.
    Health,
    /// `/readyz`.
    Ready,
}

impl<'a> Resource<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        match path {
            "/events" => return Some(Self::Events(None)),
            "/publish" => return Some(Self::Publish(None)),
            "/topics" => return Some(Self::Topics(None)),
            mercure::PATH => return Some(Self::Mercure),
            SUBSCRIPTIONS_PATH => return Some(Self::Subscriptions),
            "/healthz" => return Some(Self::Health),
            "/readyz" => return Some(Self::Ready),
            _ => {}
        }
        let topic = |prefix| path.strip_prefix(prefix).map(Some);
        topic("/events/")
            .map(Self::Events)
            .or_else(|| topic("/publish/").map(Self::Publish))
            .or_else(|| topic("/topics/").flatten().map(Self::of_topic))
            .or_else(|| {
                let rest = path.strip_prefix(SUBSCRIPTIONS_PATH)?;
                rest.starts_with('/').then_some(Self::Subscriptions)
            })
    }

    /// What is behind `/topics/`.
    fn of_topic(rest: &'a str) -> Self {
        match rest.strip_suffix(HISTORY) {
            Some(topic) => Self::History(topic),
            None => Self::Topics(Some(rest)),
        }
    }

    /// The topic in a path, still encoded.
    pub(super) fn topic(path: &'a str) -> Option<&'a str> {
        match Self::of(path)? {
            Self::Events(topic) | Self::Publish(topic) | Self::Topics(topic) => topic,
            Self::History(topic) => Some(topic),
            Self::Mercure | Self::Subscriptions | Self::Health | Self::Ready => None,
        }
    }

    /// The methods of all resources together.
    pub(super) const ALL_METHODS: &'static str = "GET, HEAD, POST, OPTIONS";

    /// Its methods, as the header `Allow` lists them.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Publish(_) => "POST, OPTIONS",
            Self::Mercure => Self::ALL_METHODS,
            Self::Events(_)
            | Self::Topics(_)
            | Self::History(_)
            | Self::Subscriptions
            | Self::Health
            | Self::Ready => "GET, HEAD, OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_have_slashes() {
        assert_eq!(Resource::of("/events"), Some(Resource::Events(None)));
        assert_eq!(
            Resource::of("/events/a/b"),
            Some(Resource::Events(Some("a/b")))
        );
        assert_eq!(Resource::of("/events/"), Some(Resource::Events(Some(""))));
        assert_eq!(
            Resource::of("/publish/t"),
            Some(Resource::Publish(Some("t")))
        );
        assert_eq!(Resource::topic("/topics/a/b"), Some("a/b"));
        for (path, topic) in [
            ("/topics/a/events", "a"),
            ("/topics/a/b/events", "a/b"),
            ("/topics/a/events/events", "a/events"),
            ("/topics//events", ""),
        ] {
            assert_eq!(Resource::of(path), Some(Resource::History(topic)), "{path}");
            assert_eq!(Resource::topic(path), Some(topic), "{path}");
        }
        for (path, topic) in [
            ("/topics/events", "events"),
            ("/topics/a%2Fevents", "a%2Fevents"),
            ("/topics/a/events/", "a/events/"),
        ] {
            let one = Some(Resource::Topics(Some(topic)));
            assert_eq!(Resource::of(path), one, "{path}");
        }
        let subscriptions = Some(Resource::Subscriptions);
        assert_eq!(
            Resource::of("/.well-known/mercure/subscriptions"),
            subscriptions
        );
        assert_eq!(
            Resource::of("/.well-known/mercure/subscriptions/a"),
            subscriptions
        );
        for unknown in [
            "/",
            "",
            "*",
            "/eventsx",
            "/healthz/",
            "/Events",
            "/.well-known/mercure/",
            "/.well-known/mercure/subscriptionsx",
        ] {
            assert_eq!(Resource::of(unknown), None, "{unknown}");
        }
    }
}
