//! The subscription API: the current subscriptions, as JSON-LD.
//!
//! An answer is bounded: a longer list continues at the address in its `Link` header
//! (`rel="next"`). The newest event's id is read before the list is built, so a client that
//! subscribes from that id gets every change that the list lacks.
//!
//! With a log of several nodes, a list has the subscribers of all nodes whose start was told. It is read from
//! the log's server, also for this node's own: so each node gives the same list, in the same order,
//! and any node continues it. While the log is away, there is no list.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::PATH;
use crate::api::access::{AccessError, Credentials};
use crate::api::reach::Reach;
use crate::hub::Hub;
use crate::hub::log::{Away, Log, LogState, RosterPlace};
use crate::hub::presence::{
    CONTEXT, Listed, SUBSCRIPTIONS_PATH, Subscription, subscriber_id, subscription_path, topic_path,
};
use crate::server::answers::ListRoom;
use crate::server::json;
use crate::server::problem::Problem;
use crate::server::query;
use crate::server::response_body::ResponseBody;
use crate::server::retry::retry_after_at_least_s;

/// Media type of the documents.
const LD_JSON: &str = "application/ld+json";

/// Subscriptions in one answer; those of the last stream may exceed it a little.
const PAGE_SUBSCRIPTIONS: usize = 10_000;

/// Most locks of the registry for one answer, each for a bounded number of subscriptions.
const LOOKS_MAX: usize = 256;

/// Documents written before other tasks have a turn on this thread: some 100 µs.
const DOCUMENTS_A_TURN: usize = 64;

/// Most portions of rosters that are read for one answer, each of some 500 KiB.
const READS_MAX: usize = 64;

/// Bytes of the collected subscribers of all nodes from which on an answer ends.
const PAGE_BYTES: usize = 8 << 20;

/// Bytes of a collected subscription. Its names are shared with the registry.
const SUBSCRIPTION_BYTES: usize = size_of::<Subscription>();

/// Parameter with the position at which a list continues.
const AFTER: &str = "after";

/// The requested part of the list.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Topic(String),
    One { topic: String, subscriber: String },
}

/// `GET` and `HEAD` at and below [`SUBSCRIPTIONS_PATH`].
///
/// # Errors
/// 401, 403, 404, 400, 503.
pub(crate) async fn answer(
    hub: &Hub,
    parts: &Parts,
    credentials: Credentials,
    room: &mut ListRoom,
) -> Result<Response<ResponseBody>, Problem> {
    let path = parts.uri.path();
    let access = credentials.bearer()?;
    let asked = asked(path)?;
    let canonical = asked.path();
    let mut reach = Reach::default();
    let is_granted =
        reach.any(&access.subscribe, path).await || reach.any(&access.subscribe, &canonical).await;
    if !is_granted {
        return Err(AccessError::Reach(path.to_owned()).into());
    }
    let log = hub.log().map(|log| &**log);
    let after = after(parts.uri.query(), log.is_some())?;
    // Read before any part of the answer: a tag may be older than its answer, never newer.
    let version = hub.presence().version();
    let last_event_id = last_event_id(hub);
    let tag = format!("{last_event_id}-{version:x}");
    let (body, next) = match &asked {
        Asked::One { topic, subscriber } => {
            let subscription = one(hub, topic, subscriber).await?.ok_or_else(|| {
                let detail = format!("no such subscription: {path:?}");
                Problem::new(StatusCode::NOT_FOUND, detail)
            })?;
            let mut document = subscription.document();
            document.context = Some(CONTEXT);
            document.last_event_id = Some(last_event_id.clone());
            (json::line(&document), None)
        }
        // Nothing has changed, so nothing is collected.
        Asked::All | Asked::Topic(_) if is_current(hub) && is_held(&parts.headers, &tag) => {
            (Vec::new(), None)
        }
        Asked::All | Asked::Topic(_) => {
            let topic = match &asked {
                Asked::Topic(topic) => Some(topic.as_str()),
                Asked::All | Asked::One { .. } => None,
            };
            let page = match (after, log) {
                (After::Place(place), Some(log)) => collect_all(log, topic, place, room).await?,
                (After::Number(number), _) => collect(hub, topic, number, room).await?,
                (After::Place(_), None) => Collected::default(),
            };
            let collection = Collection {
                context: CONTEXT,
                id: path,
                kind: "Subscriptions",
                last_event_id: &last_event_id,
                subscriptions: [],
            };
            (list(&collection, &page, room).await?, page.next)
        }
    };
    let mut response = Response::new(ResponseBody::full(json::exact(body)));
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, must-revalidate, max-age=0"),
    );
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        headers.insert(header::ETAG, tag);
    }
    if is_held(&parts.headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = ResponseBody::empty();
    } else {
        say(headers, &canonical, next);
    }
    Ok(response)
}

/// Adds the headers that a client keeps with the document. A 304 has none, because they would
/// replace the earlier ones (RFC 9111 §3.2).
fn say(headers: &mut HeaderMap, canonical: &str, next: Option<String>) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(LD_JSON));
    let hub = HeaderValue::from_str(&format!("<{PATH}>; rel=\"mercure\""));
    let next = next
        .map(|next| HeaderValue::from_str(&format!("<{canonical}?{AFTER}={next}>; rel=\"next\"")));
    for link in [Some(hub), next].into_iter().flatten().flatten() {
        headers.append(header::LINK, link);
    }
}

impl Asked {
    /// Its address, in the one spelling that events use.
    fn path(&self) -> String {
        match self {
            Self::All => SUBSCRIPTIONS_PATH.to_owned(),
            Self::Topic(topic) => topic_path(topic),
            Self::One { topic, subscriber } => subscription_path(topic, subscriber),
        }
    }
}

/// Reads the path.
fn asked(path: &str) -> Result<Asked, Problem> {
    let segments = path
        .strip_prefix(SUBSCRIPTIONS_PATH)
        .unwrap_or_default()
        .split('/')
        .skip(1)
        .map(|segment| query::decode_path(segment).map(|text| text.into_owned()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    match segments.as_slice() {
        [] => Ok(Asked::All),
        [topic] if !topic.is_empty() => Ok(Asked::Topic(topic.clone())),
        [topic, subscriber] if !topic.is_empty() && !subscriber.is_empty() => Ok(Asked::One {
            topic: topic.clone(),
            subscriber: subscriber.clone(),
        }),
        _ => {
            let detail = format!(
                "nothing is at {path:?}; topic and subscriber are one percent-encoded segment each"
            );
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
    }
}

/// Whether the node knows that nothing has changed. While the log is away, it does not.
fn is_current(hub: &Hub) -> bool {
    let log = hub.log();
    log.is_none_or(|log| matches!(log.state(), LogState::Live { .. }))
}

/// Where a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Behind the stream of this node with this number.
    Number(Option<u64>),
    /// At this place of the rosters of all nodes.
    Place(RosterPlace),
}

/// Reads the position at which the list continues.
fn after(query: Option<&str>, is_of_all: bool) -> Result<After, Problem> {
    let mut pairs = query.into_iter().flat_map(query::pairs).flatten();
    let value = pairs
        .find(|(name, _)| name == AFTER)
        .map(|(_, value)| value);
    let after = match (value, is_of_all) {
        (None, false) => Some(After::Number(None)),
        (None, true) => Some(After::Place(RosterPlace::default())),
        (Some(value), false) => query::number(&value).map(|number| After::Number(Some(number))),
        (Some(value), true) => value.parse().ok().map(After::Place),
    };
    after.ok_or_else(|| {
        let detail = "`after` must be a position that an answer of these nodes gave";
        Problem::new(StatusCode::BAD_REQUEST, detail).field(AFTER)
    })
}

/// A part of a list.
#[derive(Default)]
struct Collected {
    subscriptions: Vec<Subscription>,
    /// Bytes of what is collected.
    bytes: usize,
    /// The position of the next part; `None` at the end.
    next: Option<String>,
}

impl Collected {
    fn add(&mut self, listed: &Listed, topic: Option<&str>) {
        let before = self.subscriptions.len();
        self.subscriptions.extend(listed.subscriptions(topic));
        let found = self.subscriptions.len() - before;
        if found > 0 {
            self.bytes += listed.bytes() + found * SUBSCRIPTION_BYTES;
        }
    }

    fn is_full(&self) -> bool {
        self.subscriptions.len() >= PAGE_SUBSCRIPTIONS || self.bytes >= PAGE_BYTES
    }
}

/// The log did not answer, so what is listed is not known.
fn away(away: Away) -> Problem {
    let detail = format!(
        "the subscribers of all nodes cannot be listed: {}",
        away.why
    );
    let seconds = retry_after_at_least_s(away.retry_after);
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(seconds)
}

/// One subscription, on any node.
async fn one(hub: &Hub, topic: &str, subscriber: &str) -> Result<Option<Subscription>, Problem> {
    let Some(log) = hub.log() else {
        return Ok(hub.presence().get(topic, subscriber));
    };
    let Some(id) = subscriber_id(subscriber) else {
        return Ok(None);
    };
    let listed = log.subscriber(id).await.map_err(away)?;
    Ok(listed.and_then(|listed| listed.subscriptions(Some(topic)).next()))
}

/// Collects a part of the subscriptions of all nodes.
async fn collect_all(
    log: &dyn Log,
    topic: Option<&str>,
    place: RosterPlace,
    room: &mut ListRoom,
) -> Result<Collected, Problem> {
    let mut whole = Collected::default();
    let mut next = Some(place);
    for _ in 0..READS_MAX {
        let Some(place) = next else {
            break;
        };
        let page = log.roster(place).await.map_err(away)?;
        next = page.next;
        let mut listed = page.listed.iter().peekable();
        while let Some(each) = listed.next() {
            whole.add(each, topic);
            if whole.is_full() && listed.peek().is_some() {
                let (node, after) = (page.node, Some(each.id()));
                next = Some(RosterPlace { node, after });
                break;
            }
        }
        room.hold(whole.bytes)?;
        if whole.is_full() {
            break;
        }
    }
    whole.next = next.map(|place| place.to_string());
    Ok(whole)
}

/// Collects a part of this node's subscriptions. They and their text are in memory together.
async fn collect(
    hub: &Hub,
    topic: Option<&str>,
    after: Option<u64>,
    room: &mut ListRoom,
) -> Result<Collected, Problem> {
    let mut whole = Collected::default();
    let mut next = after;
    for look in 0..LOOKS_MAX {
        if look > 0 {
            tokio::task::yield_now().await;
        }
        let wanted = PAGE_SUBSCRIPTIONS.saturating_sub(whole.subscriptions.len());
        let page = hub.presence().list(topic, next, wanted);
        whole.subscriptions.extend(page.subscriptions);
        next = page.next;
        whole.bytes = whole.subscriptions.len() * SUBSCRIPTION_BYTES;
        room.hold(whole.bytes)?;
        if next.is_none() || whole.subscriptions.len() >= PAGE_SUBSCRIPTIONS {
            break;
        }
    }
    whole.next = next.map(|next| next.to_string());
    Ok(whole)
}

/// The newest event of any source; `earliest` if there was none. Counters follow their events. A
/// client that gets `earliest` a moment too long is sent an event that the list has, and misses
/// none.
///
/// With a log, the newest event that this node has of it: the list is read afterwards, and is newer.
fn last_event_id(hub: &Hub) -> String {
    if hub.log().is_some() {
        return hub.marked(hub.head()).urn();
    }
    let counters = &hub.node_metrics().events_in;
    if counters.iter().all(|counter| counter.get() == 0) {
        return "earliest".to_owned();
    }
    hub.marked(hub.head()).urn()
}

/// Whether the client already has the answer with this tag (RFC 9110 §13.1.2). A tag without its
/// quotes is accepted, too.
fn is_held(headers: &HeaderMap, current: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == current)
}

#[derive(Serialize)]
struct Collection<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "lastEventID")]
    last_event_id: &'a str,
    /// Written one by one: see [`list`]. Must stay the last member.
    subscriptions: [(); 0],
}

/// The collection with these subscriptions in it.
async fn list(
    empty: &Collection<'_>,
    collected: &Collected,
    room: &mut ListRoom,
) -> Result<Vec<u8>, Problem> {
    let end = b"]}";
    let mut text = json::text(empty);
    text.truncate(text.len().saturating_sub(end.len()));
    for (number, subscription) in collected.subscriptions.iter().enumerate() {
        if number > 0 {
            text.push(b',');
            if number % DOCUMENTS_A_TURN == 0 {
                room.hold(collected.bytes + text.len())?;
                tokio::task::yield_now().await;
            }
        }
        text.extend(json::text(&subscription.document()));
    }
    text.extend(end);
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_segment_by_segment() {
        let of = |rest: &str| asked(&format!("{SUBSCRIPTIONS_PATH}{rest}")).ok();
        assert_eq!(of(""), Some(Asked::All));
        assert_eq!(of("/a%2Fb"), Some(Asked::Topic("a/b".into())));
        let one = of("/a%2Fb/urn%3auuid:x").expect("one");
        assert_eq!(
            one.path(),
            format!("{SUBSCRIPTIONS_PATH}/a%2Fb/urn%3Auuid%3Ax")
        );
        for none in ["/", "/a/", "//b", "/a/b/c", "/%ff"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_position_is_one_that_an_answer_gave() {
        let id = uuid::Uuid::from_u128(7);
        let place = RosterPlace {
            node: u64::MAX - 1,
            after: Some(id),
        };
        for place in [
            place,
            RosterPlace {
                after: None,
                ..place
            },
        ] {
            let query = format!("after={place}");
            assert_eq!(after(Some(&query), true).ok(), Some(After::Place(place)));
            assert!(after(Some(&query), false).is_err());
        }
        assert_eq!(
            after(Some("after=7"), false).ok(),
            Some(After::Number(Some(7)))
        );
        for bad in [
            "7",
            "",
            "fffffffffffffffe.",
            "+ffffffffffffffe",
            "fffffffffffffffe.x",
        ] {
            assert!(after(Some(&format!("after={bad}")), true).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_are_compared_weakly() {
        let held = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            is_held(&headers, "urn:uuid:1")
        };
        for yes in [
            "\"urn:uuid:1\"",
            "W/\"urn:uuid:1\"",
            "urn:uuid:1",
            "\"x\", \"urn:uuid:1\"",
            "*",
        ] {
            assert!(held(yes), "{yes}");
        }
        assert!(!held("\"urn:uuid:2\""));
        assert!(!is_held(&HeaderMap::new(), "urn:uuid:1"));
    }
}
