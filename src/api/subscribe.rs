//! Subscriptions: their topics, their start, and their place.
//!
//! The answer is decided without waiting, so that a subscription on HTTP/1 costs no task. This
//! module must not write to the stream: the shard writes everything after the head.

mod error;

use std::borrow::Cow;
use std::net::IpAddr;

use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use thiserror::Error;

pub(crate) use error::SubscribeError;

use super::access::Caller;
use super::config::SubscribeConfig;
use super::parameters;
use super::past::{self, LAST, Past, SINCE};
use super::presentation::{self, Presentation};
use crate::auth::Access;
use crate::clock::unix_time;
use crate::core::event::IdForm;
use crate::core::limits::EventLimits;
use crate::core::selector::{Selector, Syntax};
use crate::hub::presence::SUBSCRIPTIONS_PER_STREAM_MAX;
use crate::hub::{Hub, Identity, Interest, Shed, Start, StreamPermit};
use crate::server::head::{self, EVENT_STREAM, LAST_EVENT_ID};
use crate::server::media_type::accepts;
use crate::server::problem::Problem;
use crate::server::query;
use crate::server::response_body::ResponseBody;
use crate::server::retry::{retry_after_s, retry_ms};

/// The differences between protocols with streams.
pub(crate) struct Dialect {
    /// Spellings of selectors.
    pub(crate) syntax: Syntax,
    /// Names of the cursor in a query, for clients that cannot set headers (`EventSource`). The
    /// first one given wins.
    pub(crate) cursor_parameters: &'static [&'static str],
    /// Form of this node's ids in the response head.
    pub(crate) ids: IdForm,
    /// A bearer that names no topic gets the topics of its token.
    pub(crate) topics_of_token: bool,
    /// Subscriptions are announced, if the setting is on.
    pub(crate) announces: bool,
    /// Usage text: how topics are named.
    pub(crate) usage: &'static str,
    /// Check of a parameter that is none of those above.
    pub(crate) check_other: fn(&str) -> Result<(), SubscribeError>,
}

impl Dialect {
    /// Whether subscriptions of this dialect are announced.
    fn is_announced(&self, config: &SubscribeConfig) -> bool {
        self.announces && config.announces
    }
}

/// The native API.
pub(crate) const NATIVE: Dialect = Dialect {
    syntax: Syntax::Native,
    cursor_parameters: &["last_event_id", "lastEventID", "lastEventId"],
    ids: IdForm::Native,
    topics_of_token: true,
    announces: false,
    usage: "`/events?topic=…` or `/events/…`",
    check_other: |name| Ok(parameters::check(name, &PARAMETERS)?),
};

/// The parameters of the native API.
const PARAMETERS: [&str; 8] = [
    "topic",
    "last_event_id",
    "lastEventID",
    "lastEventId",
    LAST,
    SINCE,
    presentation::PARAMETERS[0],
    presentation::PARAMETERS[1],
];

/// Up to this many topics, duplicates are found by comparison; beyond, with a sorted list.
const TOPICS_COMPARED_MAX: usize = 16;

/// Why no stream was opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NotOpened {
    /// The request is wrong.
    #[error(transparent)]
    Malformed(#[from] SubscribeError),
    /// There is no room.
    #[error(transparent)]
    Shed(#[from] Shed),
}

impl NotOpened {
    /// The answer to a request with these headers.
    pub(crate) fn into_response(self, hub: &Hub, headers: &HeaderMap) -> Response<ResponseBody> {
        match self {
            Self::Malformed(error) => Problem::from(error).into_response(),
            Self::Shed(why) => shed(why, hub, headers),
        }
    }
}

/// A place, and the start of the stream.
pub(crate) struct Opening {
    pub(crate) permit: StreamPermit,
    pub(crate) interest: Interest,
    pub(crate) start: Start,
    /// The stream begins with this many of the newest events. They are yet to be found.
    pub(crate) last: Option<usize>,
    /// The cursor, if this node may not know it yet: see [`Hub::resolve_late`].
    pub(crate) early: Option<String>,
    pub(crate) presentation: Presentation,
}

/// Bounds of a subscription.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'c> {
    pub(crate) config: &'c SubscribeConfig,
    pub(crate) limits: &'c EventLimits,
}

/// Checks the request and takes a place for it.
///
/// # Errors
/// [`NotOpened`].
pub(crate) fn open(
    hub: &Hub,
    bounds: Bounds<'_>,
    client: IpAddr,
    dialect: &Dialect,
    topic_in_path: Option<&str>,
    parts: &Parts,
    caller: Caller,
) -> Result<Opening, NotOpened> {
    let query = parts.uri.query();
    let selectors = selectors(dialect, topic_in_path, query, &caller, bounds)?;
    let past = past_of(query)?;
    let presentation = Presentation::parse(query).map_err(SubscribeError::from)?;
    let permit = hub.reserve(client)?;
    let cursor = cursor_of(dialect, parts);
    let pattern_share = hub.share_patterns(client, chosen(&selectors, &caller))?;
    let access = match caller {
        Caller::Open | Caller::Anonymous => Access::default(),
        Caller::Bearer(access) => access,
    };
    let presence = dialect
        .is_announced(bounds.config)
        .then(|| hub.presence().pending(client, &selectors, access.payload));
    let mut interest = Interest {
        selectors,
        identity: Identity {
            subject: access.subject,
            forwarded: None,
        },
        grant: access.subscribe,
        ends_unix_ms: access.ends_unix_ms,
        presence,
        pattern_share,
        memory: None,
    };
    hub.has_room_for(&interest)?;
    hub.charge(&mut interest)?;
    let (mut last, mut early) = (None, None);
    let start = match (cursor, past) {
        (None, Some(Past::Since(unix_ms))) => hub.resolve_since(unix_ms),
        (None, Some(Past::Last(count))) => {
            last = Some(count);
            Start::default()
        }
        (cursor, _) => {
            let start = hub.resolve(&interest.selectors, &interest.grant, cursor.as_deref());
            early = cursor.filter(|_| hub.may_be_early(&start));
            start
        }
    };
    Ok(Opening {
        permit,
        interest,
        start,
        last,
        early: early.map(Cow::into_owned),
        presentation,
    })
}

/// The events that a stream without a cursor begins with.
pub(crate) fn past_of(query: Option<&str>) -> Result<Option<Past>, SubscribeError> {
    Ok(past::of(query, unix_time())?)
}

/// The cursor of a request.
pub(crate) fn cursor_of<'a>(dialect: &Dialect, parts: &'a Parts) -> Option<Cow<'a, str>> {
    let header = parts.headers.get(LAST_EVENT_ID).map(|id| id.as_bytes());
    cursor_in(header, parts.uri.query(), dialect.cursor_parameters)
}

/// The selectors of a stream: the topic of the path first, then those of the query, each once; else
/// those of the token.
pub(crate) fn selectors(
    dialect: &Dialect,
    in_path: Option<&str>,
    query: Option<&str>,
    caller: &Caller,
    bounds: Bounds<'_>,
) -> Result<Vec<Selector>, SubscribeError> {
    let Bounds { config, limits } = bounds;
    let mut topics = Vec::new();
    let mut add = |name: Cow<'_, str>| {
        let selector = Selector::parse(&name, dialect.syntax, limits.topic_bytes_max)?;
        // Duplicates of a long list are removed at the end; the target's length bounds it.
        let compared = &topics[..topics.len().min(TOPICS_COMPARED_MAX)];
        if !compared.contains(&selector) {
            topics.push(selector);
        }
        Ok::<(), SubscribeError>(())
    };
    if let Some(raw) = in_path {
        add(query::decode_path(raw)?)?;
    }
    for pair in query.into_iter().flat_map(query::pairs) {
        let (name, value) = pair?;
        match &*name {
            "topic" => add(value)?,
            name => (dialect.check_other)(name)?,
        }
    }
    if topics.is_empty()
        && dialect.topics_of_token
        && let Caller::Bearer(access) = caller
    {
        topics.extend_from_slice(&access.topics);
    }
    if topics.len() > TOPICS_COMPARED_MAX {
        topics.sort_unstable();
        topics.dedup();
    }
    let patterns = chosen(&topics, caller).count();
    match topics.len() {
        0 => Err(SubscribeError::NoTopic(dialect.usage)),
        _ if patterns > config.patterns_max => Err(SubscribeError::TooManyPatterns {
            count: patterns,
            max: config.patterns_max,
        }),
        count if count > limits.topics_per_stream_max => Err(SubscribeError::TooManyTopics {
            count,
            max: limits.topics_per_stream_max,
        }),
        count if count > SUBSCRIPTIONS_PER_STREAM_MAX && dialect.is_announced(config) => {
            Err(SubscribeError::TooManyAnnounced { count })
        }
        _ => Ok(topics),
    }
}

/// The patterns that the client chose itself. The issuer of a token vouches for the token's own
/// patterns.
fn chosen<'s>(selectors: &'s [Selector], caller: &'s Caller) -> impl Iterator<Item = &'s Selector> {
    let named = match caller {
        Caller::Bearer(access) => &*access.subscribe,
        Caller::Open | Caller::Anonymous => &[],
    };
    selectors
        .iter()
        .filter(|selector| !selector.is_exact() && named.binary_search(selector).is_err())
}

/// The cursor of a request: its `Last-Event-ID` header, else the first of the query's
/// `last_event_id`, `lastEventID` or `lastEventId` that is not empty (WHATWG HTML §9.2.2; the
/// parameters are for clients that cannot set headers).
///
/// Never fails: text that is no cursor of this node (broken UTF-8 included) is an unknown cursor,
/// and the stream reports that.
#[must_use]
pub fn cursor<'a>(header: Option<&'a [u8]>, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    cursor_in(header, query, NATIVE.cursor_parameters)
}

fn cursor_in<'a>(
    header: Option<&'a [u8]>,
    query: Option<&'a str>,
    parameters: &[&str],
) -> Option<Cow<'a, str>> {
    if let Some(id) = header.filter(|id| !id.is_empty()) {
        return Some(String::from_utf8_lossy(id));
    }
    let mut pairs = query.into_iter().flat_map(query::pairs).flatten();
    pairs
        .find(|(name, value)| parameters.contains(&name.as_ref()) && !value.is_empty())
        .map(|(_, value)| value)
}

/// Whether the client asked for an event stream by name. Only then may it be shed with a `200`:
/// `EventSource` gives up for good on any other status, while every other client needs the true
/// status.
fn wants_event_stream(headers: &HeaderMap) -> bool {
    accepts(headers, EVENT_STREAM)
}

/// The answer to a subscription that finds no room now, or that comes while the node drains.
pub(crate) fn shed(why: Shed, hub: &Hub, headers: &HeaderMap) -> Response<ResponseBody> {
    if !wants_event_stream(headers) {
        return refusal(why);
    }
    if why != Shed::Draining {
        return come_back(retry_ms());
    }
    hub.node_metrics().drain_answers.add(1);
    come_back(hub.drain_retry_ms())
}

/// An event stream that ends at once and names a reconnection delay.
fn come_back(retry_ms: u64) -> Response<ResponseBody> {
    let body = ResponseBody::full(format!("retry: {retry_ms}\n\n"));
    let mut response = Response::new(body);
    *response.headers_mut() = head::headers(None, false);
    response
}

/// The true status, for a client that does not ask for an event stream by name.
fn refusal(why: Shed) -> Response<ResponseBody> {
    let status = match why {
        Shed::Full(_) | Shed::Patterns(_) | Shed::Memory | Shed::Behind | Shed::Draining => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Shed::Address(_) | Shed::AddressPatterns(_) => StatusCode::TOO_MANY_REQUESTS,
    };
    Problem::new(status, why.to_string())
        .retry_after(retry_after_s())
        .into_response()
}

#[cfg(test)]
mod tests {
    use hyper::header::{self, HeaderValue};

    use super::*;
    use crate::hub::HubConfig;

    fn names(in_path: Option<&str>, query: &str) -> Result<Vec<String>, SubscribeError> {
        let bounds = Bounds {
            config: &SubscribeConfig::default(),
            limits: &EventLimits {
                topics_per_stream_max: 40,
                topic_bytes_max: 8,
                ..EventLimits::default()
            },
        };
        let selectors = selectors(&NATIVE, in_path, Some(query), &Caller::Open, bounds)?;
        Ok(selectors
            .iter()
            .map(|selector| selector.text().to_owned())
            .collect())
    }

    #[test]
    fn topics_come_from_path_and_query_once() {
        assert_eq!(
            names(Some("a%2Fb/c"), "topic=d&_=1&topic=a/b/c&topic=d"),
            Ok(vec!["a/b/c".to_owned(), "d".to_owned()])
        );
    }

    #[test]
    fn a_bearer_who_names_no_topic_gets_those_of_its_token() {
        let caller = Caller::Bearer(Access {
            topics: [Selector::exact("user/1")].into(),
            ..Access::default()
        });
        let of = |query| {
            let bounds = Bounds {
                config: &SubscribeConfig::default(),
                limits: &EventLimits::default(),
            };
            let found = selectors(&NATIVE, None, Some(query), &caller, bounds).expect("some");
            found[0].text().to_owned()
        };
        assert_eq!(of("_=1"), "user/1");
        assert_eq!(of("topic=a"), "a");
    }

    #[test]
    fn bad_topics_are_refused() {
        assert_eq!(
            names(None, "_=1"),
            Err(SubscribeError::NoTopic(NATIVE.usage))
        );
        assert!(matches!(
            names(None, "topic="),
            Err(SubscribeError::Topic(_))
        ));
        assert!(matches!(names(Some(""), ""), Err(SubscribeError::Topic(_))));
        assert!(matches!(
            names(None, "topic=123456789"),
            Err(SubscribeError::Topic(_))
        ));
        assert!(matches!(
            names(None, "topic=%ff"),
            Err(SubscribeError::Query(_))
        ));
    }

    #[test]
    fn many_topics_are_counted_without_doubles() {
        let query = |count: usize| {
            let once: Vec<String> = (0..count).map(|n| format!("topic=t{n}")).collect();
            format!("{0}&{0}", once.join("&"))
        };
        assert_eq!(names(None, &query(40)).expect("fits").len(), 40);
        assert_eq!(
            names(None, &query(41)),
            Err(SubscribeError::TooManyTopics { count: 41, max: 40 })
        );
    }

    #[test]
    fn the_header_beats_the_query() {
        let query = Some("lastEventId=&last_event_id=2-0&lastEventID=3-0");
        assert_eq!(cursor(Some(b"1-0"), query).as_deref(), Some("1-0"));
        assert_eq!(cursor(Some(b""), query).as_deref(), Some("2-0"));
        assert_eq!(cursor(None, query).as_deref(), Some("2-0"));
        assert_eq!(cursor(None, Some("topic=a")), None);
        assert_eq!(cursor(None, None), None);
        assert_eq!(cursor(Some(b"\xff"), None).as_deref(), Some("\u{fffd}"));
        assert_eq!(
            cursor(None, Some("x=%ff&lastEventID=4")).as_deref(),
            Some("4")
        );
    }

    #[test]
    fn only_an_event_source_is_shed_with_200() {
        let hub = Hub::start(HubConfig::default(), 1).expect("threads");
        let accept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            shed(Shed::Full(1), &hub, &headers)
        };
        let shed_stream = accept("text/html, Text/Event-Stream;q=0.9");
        assert_eq!(shed_stream.status(), 200);
        assert_eq!(shed_stream.headers()[header::CONTENT_TYPE], EVENT_STREAM);
        let other = accept("*/*");
        assert_eq!(other.status(), 503);
        assert!(other.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(refusal(Shed::Address(2)).status(), 429);
    }
}
