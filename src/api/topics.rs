//! `GET /topics`: the existing topics, the number of their listeners, and the size of their
//! history.
//!
//! With keys for subscribers, a token shows only the topics that one of its `subscribe` selectors
//! matches. The call never holds up the node: the table of topics is read in slices, a bounded
//! number of them for one answer.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::access::{AccessError, Caller, Credentials};
use super::parameters::{self, ParametersError};
use super::reach::Reach;
use crate::core::event::OrderMark;
use crate::core::selector::Selector;
use crate::core::topic;
use crate::hub::{Hub, TopicInfo, TopicWalk};
use crate::server::answers::ListRoom;
use crate::server::json;
use crate::server::problem::Problem;
use crate::server::query;
use crate::server::response_body::ResponseBody;

/// A page with this many topics is full; the last slice of the table may exceed it.
const PAGE_TOPICS: usize = 1_000;

/// Bytes of a topic in a page besides its name.
const TOPIC_BYTES: usize = 160;

/// Most slices of the table that are read for one page.
const SLICES_MAX: usize = 16;

/// Comparison steps after which a page ends with its slice: some 100 ms, in portions.
const STEPS_MAX: usize = 100_000_000;

/// The list's parameters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    after: u32,
    prefix: String,
}

/// Answers for one topic, or with a page of all.
///
/// # Errors
/// 400, 401, 403, 503.
pub(crate) async fn answer(
    hub: &Hub,
    topic_in_path: Option<&str>,
    query: Option<&str>,
    credentials: Credentials,
    room: &mut ListRoom,
) -> Result<Response<ResponseBody>, Problem> {
    let selectors = match credentials.caller {
        Caller::Open => None,
        Caller::Anonymous => return Err(AccessError::Missing.into()),
        Caller::Bearer(access) => Some(access.subscribe),
    };
    let mut sight = Sight::of(selectors);
    let Some(raw) = topic_in_path else {
        let asked = asked(query)?;
        let hold = |bytes| room.hold(bytes);
        return Ok(answered(&page(hub, &asked, &mut sight, hold).await?));
    };
    none(query)?;
    let name = name(hub, raw)?;
    if !sight.has(&name).await {
        return Err(AccessError::Reach(name.into_owned()).into());
    }
    Ok(answered(&Topic::new(hub.topic(&name).await, hub.mark())))
}

/// The topic in a path.
pub(super) fn name<'r>(hub: &Hub, raw: &'r str) -> Result<Cow<'r, str>, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail).field("topic");
    let name = query::decode_path(raw).map_err(|error| bad(error.to_string()))?;
    let topic_bytes_max = hub.event_limits().topic_bytes_max;
    topic::check(&name, topic_bytes_max).map_err(|error| bad(error.to_string()))?;
    Ok(name)
}

/// The topics that the caller may see, and the cost of the check.
struct Sight {
    /// `None`: all.
    selectors: Option<Arc<[Selector]>>,
    reach: Reach,
    /// Steps after which a page is full.
    steps_max: usize,
}

impl Sight {
    fn of(selectors: Option<Arc<[Selector]>>) -> Self {
        Self {
            selectors,
            reach: Reach::default(),
            steps_max: STEPS_MAX,
        }
    }

    async fn has(&mut self, name: &str) -> bool {
        match self.selectors.as_deref() {
            Some(selectors) => self.reach.any(selectors, name).await,
            None => true,
        }
    }
}

/// Builds a page; `hold` asks for room for the bytes that it has so far.
async fn page(
    hub: &Hub,
    asked: &Asked,
    sight: &mut Sight,
    mut hold: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Page, Problem> {
    let mut topics = Vec::new();
    let mut bytes = 0;
    let mut walk = TopicWalk::from(asked.after);
    let mut slices = 0;
    while walk.next().is_some() {
        let is_full = topics.len() >= PAGE_TOPICS || sight.reach.steps() >= sight.steps_max;
        // A topic of very many patterns needs several slices. The next page would begin it anew.
        if (is_full || slices >= SLICES_MAX) && !walk.is_within_topic() {
            break;
        }
        if slices > 0 {
            tokio::task::yield_now().await;
        }
        slices += 1;
        for info in hub.topics(&mut walk) {
            if info.name.starts_with(&asked.prefix) && sight.has(&info.name).await {
                bytes += TOPIC_BYTES + info.name.len();
                topics.push(Topic::new(info, hub.mark()));
            }
        }
        hold(bytes)?;
    }
    Ok(Page {
        topics,
        next: walk.next(),
    })
}

fn asked(query: Option<&str>) -> Result<Asked, Problem> {
    let (mut after, mut prefix) = (None, None);
    for pair in parameters::known(query, &["after", "prefix"]) {
        let (name, value) = pair.map_err(refused)?;
        let (name, slot) = match &*name {
            "prefix" => ("prefix", &mut prefix),
            _ => ("after", &mut after),
        };
        if slot.replace(value).is_some() {
            let detail = format!("`{name}` is given twice");
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail).field(name));
        }
    }
    let after = after.map(|value| query::number(&value).ok_or(()));
    let after = after.transpose();
    Ok(Asked {
        after: after
            .map_err(|_| {
                let detail = "`after` must be the `next` of the page before";
                Problem::new(StatusCode::BAD_REQUEST, detail).field("after")
            })?
            .unwrap_or_default(),
        prefix: prefix.unwrap_or_default().into_owned(),
    })
}

/// Refuses parameters: a single topic takes none.
fn none(query: Option<&str>) -> Result<(), Problem> {
    match parameters::known(query, &[]).next() {
        Some(Err(error)) => Err(refused(error)),
        _ => Ok(()),
    }
}

pub(super) fn refused(error: ParametersError) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, error.to_string());
    match error.field() {
        Some(name) => problem.field(name),
        None => problem,
    }
}

#[derive(Serialize)]
struct Page {
    topics: Vec<Topic>,
    /// The value of `after` for the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

#[derive(Serialize)]
struct Topic {
    topic: Box<str>,
    streams: u64,
    streams_by_pattern: u64,
    events: usize,
    first_id: Option<String>,
    last_id: Option<String>,
}

impl Topic {
    fn new(info: TopicInfo, mark: OrderMark) -> Self {
        Self {
            topic: info.name,
            streams: info.streams,
            streams_by_pattern: info.streams_by_pattern,
            events: info.events,
            first_id: info.first_id.map(|id| id.marked(mark).to_string()),
            last_id: info.last_id.map(|id| id.marked(mark).to_string()),
        }
    }
}

pub(super) fn answered(value: &impl Serialize) -> Response<ResponseBody> {
    let mut response = json::response(value);
    let private = HeaderValue::from_static("private, no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, private);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::Event;
    use crate::core::limits::EventLimits;
    use crate::core::sse::Draft;
    use crate::hub::HubConfig;
    use crate::metrics::Source;

    #[test]
    fn every_comparison_counts_and_a_slice_too_many_ends_the_page() {
        let names: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
        let selectors = names.iter().map(|name| Selector::exact(name)).collect();
        let mut sight = Sight {
            steps_max: 1 << 20,
            ..Sight::of(Some(selectors))
        };

        let hub = Hub::start(HubConfig::default(), 1).expect("a hub");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let mut all = Sight::of(None);
            assert!(all.has("a").await && all.reach.steps() == 0);
            assert!(sight.has("t9").await && sight.reach.steps() >= 10);
            assert!(!sight.has("none").await && sight.reach.steps() >= 1_010);
            let limits = EventLimits::default();
            for slice in 0..3 {
                let names = (0..1_024).map(|n| format!("other/{slice}/{n}"));
                let events = names.map(|name| Event::new(name, "x"));
                let mut drafts: Vec<_> = events
                    .map(|event| Draft::new(event, &limits).expect("an event"))
                    .collect();
                hub.publish(Source::Http, &mut drafts).await.expect("open");
            }
            // Without the bound, all slices would be one page.
            let room = |_| Ok(());
            let first = page(&hub, &Asked::default(), &mut sight, room).await;
            let first = first.expect("room");
            assert!(first.topics.is_empty());
            let after = first.next.expect("another page");
            let asked = Asked {
                after,
                ..Asked::default()
            };
            sight.reach = Reach::default();
            let second = page(&hub, &asked, &mut sight, room).await;
            assert_ne!(second.expect("room").next, Some(after));

            // Without room, the walk ends with its slice.
            let mut slices = 0;
            let none = |_| {
                slices += 1;
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no room"))
            };
            let mut all = Sight::of(None);
            let refused = page(&hub, &Asked::default(), &mut all, none).await;
            assert!(refused.is_err() && slices == 1);
        });
        hub.stop();
    }

    #[test]
    fn parameters_are_read_and_checked() {
        let of = |query| asked(Some(query)).ok();
        assert_eq!(of(""), Some(Asked::default()));
        let both = Asked {
            after: 1_024,
            prefix: "a/".into(),
        };
        assert_eq!(of("prefix=a%2F&after=1024&authorization=x"), Some(both));
        assert_eq!(of("after=-1"), None);
        assert_eq!(of("prefix=%ff"), None);
        assert_eq!(of("prfix=a"), None);
        assert_eq!(of("after=1&after=2"), None, "which of them?");
        assert_eq!(of("prefix=a&prefix=b"), None, "which of them?");
    }
}
