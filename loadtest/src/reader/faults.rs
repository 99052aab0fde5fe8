//! Examples of what went wrong, by name: a count says that there is a fault, an example where to
//! look for it.

use serde::{Deserialize, Serialize};

use crate::wire::event_id::EventId;

/// Examples that are kept of each kind.
const EXAMPLES_MAX: usize = 3;

/// What is wrong with an event on a stream.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) enum Wrong {
    /// It never came, and no gap told of it.
    Lost,
    /// It came again.
    Doubled,
    /// Its id is not above that of the event before.
    IdFell,
    /// It had another id elsewhere.
    IdDiffers,
}

/// One fault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Fault {
    /// Its kind.
    pub(crate) wrong: Wrong,
    /// The stream's number.
    pub(crate) stream: usize,
    /// The node that it was on.
    pub(crate) node: usize,
    /// The event's topic.
    pub(crate) topic: usize,
    /// The event's number among those of its topic.
    pub(crate) number: u32,
    /// The id that it came with.
    pub(crate) id: Option<String>,
    /// The highest id of the stream before.
    pub(crate) before: Option<EventId>,
}

/// The first faults of each kind.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Keeps the fault, unless there are enough of its kind.
    pub(crate) fn note(&mut self, fault: impl FnOnce() -> Fault, wrong: Wrong) {
        if self.has_room(wrong) {
            self.0.push(fault());
        }
    }

    /// Whether another one of this kind would be kept.
    pub(crate) fn has_room(&self, wrong: Wrong) -> bool {
        self.0.iter().filter(|known| known.wrong == wrong).count() < EXAMPLES_MAX
    }

    /// Adds those of another process.
    pub(crate) fn add(&mut self, others: Self) {
        for fault in others.0 {
            let wrong = fault.wrong;
            self.note(|| fault, wrong);
        }
    }

    /// Each of them for people. `topic` is the name of a topic, `node` the URL of a node.
    pub(crate) fn texts(
        &self,
        topic: impl Fn(usize) -> String,
        node: impl Fn(usize) -> String,
    ) -> Vec<String> {
        let text = |fault: &Fault| {
            let event = format!("event {} of topic {}", fault.number, topic(fault.topic));
            let id = fault.id.as_deref().unwrap_or("no id");
            let place = format!(
                "on stream {}, node {} ({})",
                fault.stream,
                fault.node,
                node(fault.node)
            );
            match fault.wrong {
                Wrong::Lost => format!("lost: {event} never came {place}"),
                Wrong::Doubled => format!("doubled: {event} came again, with {id}, {place}"),
                Wrong::IdFell => {
                    let before = fault.before.unwrap_or_default();
                    format!("ids_fell: {event} came with {id} after {before} {place}")
                }
                Wrong::IdDiffers => format!(
                    "ids_differ: {event} came with {id} {place}, and had another id elsewhere"
                ),
            }
        };
        self.0.iter().map(text).collect()
    }
}
