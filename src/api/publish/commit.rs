//! Events, checked and published as one batch.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::error::PublishError;
use super::keys::CallKeys;
use super::permission::Permission;
use crate::api::node::Node;
use crate::api::reach::Reach;
use crate::core::budget::{Charge, Part};
use crate::core::event::{Event, MarkedId, OrderMark};
use crate::core::idempotency::Place;
use crate::core::selector;
use crate::core::sse::Draft;
use crate::hub::{Closed, Hub, NotPublished, Receipt};
use crate::metrics::Source;
use crate::server::request_body::{BodyError, NoRoom};

/// Events up to this size are not charged to the node's account.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// The account is charged in steps of this.
const STEP_BYTES: usize = 16 * 1024;

/// The events of a call that were published, now or before.
pub(crate) struct Committed {
    /// An answer for each.
    pub(crate) answers: Vec<Answer>,
    /// All of them were published before: the call is a repeat.
    pub(crate) is_repeat: bool,
}

/// Checks and publishes all events as one batch; `place` gives the n-th event's place in the body.
pub(crate) async fn commit(
    node: &Node,
    permission: &Permission,
    keys: &CallKeys<'_>,
    events: Vec<Event<'_>>,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Committed, PublishError> {
    let mut reach = Reach::default();
    let mut memory = Memory::new(node);
    memory.hold(events.len() * size_of::<Event<'_>>())?;
    let count = Some(events.len());
    let mut drafts = Vec::with_capacity(events.len());
    for (number, event) in events.into_iter().enumerate() {
        let index = place(number);
        let in_call = Place {
            index: number,
            count,
        };
        let name = keys.name_of(&event, in_call, index)?;
        let mut draft = draft(event, permission, index, node, &mut reach).await?;
        if let Some(name) = name {
            draft.set_key(name);
        }
        memory.hold(draft.memory_bytes())?;
        drafts.push(draft);
    }
    let error = |error| PublishError::of(error, keys.are_of_header(), &place);
    if Hub::is_one_portion(&drafts) {
        let receipts = submit(node, &mut drafts).await.map_err(error)?;
        return Ok(committed(node, &receipts, &drafts));
    }
    let (receipts, drafts) = submit_all(node, drafts, memory).await.map_err(error)?;
    Ok(committed(node, &receipts, &drafts))
}

/// The memory of events that are read and not yet published, in the node's account.
///
/// An array of small events takes twenty times its own size. Events wait while mailboxes are full.
pub(super) struct Memory {
    bytes: usize,
    charge: Charge,
}

impl Memory {
    pub(super) fn new(node: &Node) -> Self {
        Self {
            bytes: 0,
            charge: Charge::new(node.hub.budget(), Part::Events),
        }
    }

    /// Holds `bytes` more. Charged in steps; few bytes are not charged.
    ///
    /// # Errors
    /// The node has no memory for them.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.bytes += bytes;
        if self.bytes > UNCOUNTED_BYTES && self.bytes > self.charge.bytes() {
            let wanted = self.bytes.next_multiple_of(STEP_BYTES);
            self.charge.set(wanted).map_err(|_| NoRoom)?;
        }
        Ok(())
    }
}

fn committed(node: &Node, receipts: &[Receipt], drafts: &[Draft<'_>]) -> Committed {
    let published = receipts.iter().zip(drafts);
    Committed {
        answers: published
            .map(|(receipt, draft)| Answer::new(receipt, node.hub.mark(), draft.topics()))
            .collect(),
        is_repeat: !receipts.is_empty() && receipts.iter().all(|receipt| receipt.is_repeat),
    }
}

/// Publishes events that need several holds of the lock. A task does it: hyper drops the future
/// when its client goes away, and only a part of the array would be published.
async fn submit_all(
    node: &Node,
    drafts: Vec<Draft<'_>>,
    memory: Memory,
) -> Result<(Vec<Receipt>, Vec<Draft<'static>>), NotPublished> {
    let hub = node.hub.clone();
    // Up to this point a client that goes away publishes nothing.
    let permit = Arc::clone(&node.large_arrays).acquire_owned().await;
    let mut drafts: Vec<_> = drafts.into_iter().map(Draft::into_owned).collect();
    let task = tokio::spawn(async move {
        let _permit = permit;
        let _memory = memory;
        let receipts = hub.publish(Source::Http, &mut drafts).await;
        receipts.map(|receipts| (receipts, drafts))
    });
    // The runtime ends no task of an open node.
    task.await.unwrap_or(Err(Closed.into()))
}

/// Checks the event at `index` in the body.
pub(super) async fn draft<'a>(
    event: Event<'a>,
    permission: &Permission,
    index: Option<usize>,
    node: &Node,
    reach: &mut Reach,
) -> Result<Draft<'a>, PublishError> {
    let draft = Draft::new(event, node.hub.event_limits())
        .map_err(|source| PublishError::Event { index, source })?;
    permission
        .check(draft.topics(), node.publish.check_steps_max, reach)
        .await
        .map_err(|source| PublishError::Denied { index, source })?;
    Ok(draft)
}

/// Publishes checked events as one batch.
pub(super) async fn submit(
    node: &Node,
    drafts: &mut [Draft<'_>],
) -> Result<Vec<Receipt>, NotPublished> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    node.hub.publish(Source::Http, drafts).await
}

/// The answer to one event: `{"id":"<ms>-<n>.<mark>","subscribers":N}`.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    #[serde(serialize_with = "as_text")]
    pub(crate) id: MarkedId,
    subscribers: u64,
    /// A likely mistake of the publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl Answer {
    fn new(receipt: &Receipt, mark: OrderMark, topics: &[Cow<'_, str>]) -> Self {
        Self {
            id: receipt.id.marked(mark),
            subscribers: receipt.subscribers,
            warning: warning(topics),
        }
    }
}

/// The warning for a topic that is written like a pattern. Such a topic is legal; only its
/// publisher knows whether it was meant.
pub(super) fn warning(topics: &[Cow<'_, str>]) -> Option<String> {
    let pattern = topics.iter().find(|topic| selector::is_pattern(topic))?;
    Some(format!(
        "the event went to the topic {pattern:?} as it is written; patterns choose topics for subscribers, publish to the topics themselves"
    ))
}

fn as_text<S: Serializer>(id: &MarkedId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::EventId;

    #[test]
    fn a_receipt_reads_as_promised() {
        let receipt = Receipt {
            id: EventId::from_parts(7, 1).expect("fits"),
            subscribers: 3,
            is_repeat: false,
        };
        let text = |topic: &'static str| {
            serde_json::to_string(&Answer::new(
                &receipt,
                OrderMark::default(),
                &[topic.into()],
            ))
            .expect("JSON")
        };
        assert_eq!(text("news"), r#"{"id":"7-1.000000","subscribers":3}"#);
        let warned = text("news/**");
        assert!(
            warned.starts_with(r#"{"id":"7-1.000000","subscribers":3,"warning":""#),
            "{warned}"
        );
    }

    #[test]
    fn a_topic_that_is_written_like_a_pattern_is_warned_of() {
        for topic in [
            "*",
            "**",
            "news/**",
            "news/*/x",
            "books/{id}",
            "{+a}",
            "a{?b,c*}",
        ] {
            assert!(warning(&["a".into(), topic.into()]).is_some(), "{topic}");
        }
        for topic in ["news", "a*", "a/b*c", "{", "a{}", "{a b}", "100%"] {
            assert_eq!(warning(&[topic.into()]), None, "{topic}");
        }
    }
}
