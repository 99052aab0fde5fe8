//! `GET /topics/{topic}/events`: the kept events of a topic as JSON, a page at a time.
//!
//! A page shows what a stream of the topic would be sent: to the same callers, after the same
//! cursors, with the same gaps. A loss is told at the start of a page, so a page ends before one.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::access::Credentials;
use super::parameters;
use super::topics;
use crate::core::event::EventId;
use crate::core::sse;
use crate::hub::{Gap, Hub, Portion, Stored};
use crate::server::answers::ListRoom;
use crate::server::problem::Problem;
use crate::server::query;
use crate::server::response_body::ResponseBody;
use crate::server::retry::retry_after_s;

/// Events of a page.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// A page with so many bytes of events is full; the last one may exceed it.
const PAGE_BYTES: usize = 1024 * 1024;

const AFTER: &str = "after";
const LIMIT: &str = "limit";

/// The parameters of the call.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'q> {
    after: Option<Cow<'q, str>>,
    limit: usize,
}

/// Answers with a page.
///
/// # Errors
/// 400, 503.
pub(crate) async fn answer(
    hub: &Hub,
    topic_in_path: &str,
    query: Option<&str>,
    credentials: Credentials,
    room: &mut ListRoom,
) -> Result<Response<ResponseBody>, Problem> {
    let asked = asked(query)?;
    let name = topics::name(hub, topic_in_path)?;
    let hold = |bytes| room.hold(bytes);
    let page = page(hub, &name, &asked, &credentials, hold).await?;
    Ok(topics::answered(&page))
}

/// Builds a page; `hold` asks for room for the bytes that it has so far.
async fn page<'n>(
    hub: &Hub,
    name: &'n str,
    asked: &Asked<'_>,
    credentials: &Credentials,
    mut hold: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Page<'n>, Problem> {
    let grant = credentials.caller.grant();
    let reader = hub.read_topic(name, grant, asked.after.as_deref()).await;
    let mut reader = reader.map_err(|shed| {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, shed.to_string());
        problem.retry_after(retry_after_s())
    })?;
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut gap: Option<GapOfPage> = None;
    let mut through = EventId::ZERO;
    let is_over = 'page: loop {
        // One event more shows that more are left.
        match reader.next(asked.limit + 1 - events.len()).await {
            Portion::Gap(_) if !events.is_empty() => break false,
            Portion::Gap(told) => gap = Some(GapOfPage::new(told, gap)),
            Portion::Passed => {}
            Portion::End(head) => {
                through = head;
                break true;
            }
            Portion::Events(portion) => {
                for stored in portion {
                    if events.len() == asked.limit || bytes >= PAGE_BYTES {
                        break 'page false;
                    }
                    through = stored.id;
                    let event = event(hub, &stored);
                    bytes += event.get().len();
                    hold(bytes)?;
                    events.push(event);
                }
            }
        }
        tokio::task::yield_now().await;
    };
    let through = hub.marked(through).to_string();
    Ok(Page {
        topic: name,
        gap,
        events,
        next: (!is_over).then(|| through.clone()),
        last_event_id: through,
    })
}

fn asked(query: Option<&str>) -> Result<Asked<'_>, Problem> {
    let bad = |name: &str, detail| Problem::new(StatusCode::BAD_REQUEST, detail).field(name);
    let (mut after, mut limit) = (None, None);
    for pair in parameters::known(query, &[AFTER, LIMIT]) {
        let (name, value) = pair.map_err(topics::refused)?;
        let (name, slot) = match &*name {
            LIMIT => (LIMIT, &mut limit),
            _ => (AFTER, &mut after),
        };
        if slot.replace(value).is_some() {
            return Err(bad(name, format!("`{name}` is given twice")));
        }
    }
    let limit = match limit {
        None => LIMIT_DEFAULT,
        Some(text) => {
            let number = query::number(&text).filter(|number| (1..=LIMIT_MAX).contains(number));
            number.ok_or_else(|| {
                let detail = format!("`limit` must be a number of events from 1 to {LIMIT_MAX}");
                bad(LIMIT, detail)
            })?
        }
    };
    // As a cursor of a stream, an empty one is none.
    let after = after.filter(|after| !after.is_empty());
    Ok(Asked { after, limit })
}

#[derive(Serialize)]
struct Page<'n> {
    topic: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<GapOfPage>,
    events: Vec<Box<RawValue>>,
    /// The value of `after` for the next page; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Everything up to this id was read: a stream goes on from here.
    last_event_id: String,
}

/// What is missing before the first event of a page.
#[derive(Serialize)]
struct GapOfPage {
    from: String,
    reason: &'static str,
    to: String,
}

impl GapOfPage {
    /// A gap that follows another one without an event in between is one with it.
    fn new(told: Gap, before: Option<Self>) -> Self {
        let to = told.to.to_string();
        match before {
            Some(before) => Self { to, ..before },
            None => Self {
                from: told.from,
                reason: told.reason.as_str(),
                to,
            },
        }
    }
}

#[derive(Serialize)]
struct Event<'e> {
    id: String,
    /// The id that its publisher gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_id: Option<String>,
    /// When the node took it in, in the form of RFC 3339.
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    data: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
}

/// An event as it stands in the answer.
fn event(hub: &Hub, stored: &Stored) -> Box<RawValue> {
    let parsed = sse::parse(&stored.text);
    // The id on the wire is the node's, with its mark or as a URN, or the publisher's.
    let own_id = parsed.id.filter(|wire| hub.mark().place_of(wire).is_none());
    let time = UNIX_EPOCH + Duration::from_millis(stored.id.unix_ms());
    let event = Event {
        id: hub.marked(stored.id).to_string(),
        own_id,
        time: humantime::format_rfc3339_millis(time).to_string(),
        event: parsed.event,
        data: &parsed.data,
        retry: parsed.retry,
    };
    // Texts and numbers cannot fail to serialize.
    to_raw_value(&event).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_checked() {
        let of = |query| asked(Some(query)).ok();
        let plain = |after: Option<&'static str>, limit| {
            let after = after.map(Cow::from);
            Some(Asked { after, limit })
        };
        assert_eq!(of(""), plain(None, 100));
        assert_eq!(of("after=&_=1"), plain(None, 100));
        assert_eq!(of("after=1-0.abc&limit=7"), plain(Some("1-0.abc"), 7));
        assert_eq!(of("limit=1000&authorization=x"), plain(None, 1_000));
        for wrong in [
            "limit=0",
            "limit=1001",
            "limit=",
            "limit=-1",
            "limit=all",
            "after=%ff",
            "before=1-0",
            "after=1&after=2",
            "limit=1&limit=1",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
