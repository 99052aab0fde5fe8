//! The naive model: a list of everything published, and what each session of a client must therefore see.

use crate::core::event::EventId;

use super::client::Block;
use super::names::Sel;

/// One event as it was published. Its number in the list is its data.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) id: EventId,
    pub(super) topics: Vec<usize>,
    pub(super) private: bool,
    /// Its id on the wire.
    pub(super) wire_id: String,
}

/// What a stream asked for and may hear.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub(super) selectors: Vec<Sel>,
    pub(super) grant: Vec<Sel>,
}

impl Rights {
    /// The rule, word for word: one of the event's topics matches the subscription, and if it is private, one matches the grant.
    fn cover(&self, event: &Published) -> bool {
        let meets = |list: &[Sel]| {
            let mut topics = event.topics.iter();
            topics.any(|topic| list.iter().any(|one| one.matches(*topic)))
        };
        meets(&self.selectors) && (!event.private || meets(&self.grant))
    }
}

/// A gap as a client was told it.
#[derive(Clone, Debug)]
struct ToldGap {
    from: EventId,
    to: EventId,
}

/// One connection of a client, checked as its blocks come in.
#[derive(Debug)]
pub(super) struct Session {
    rights: Rights,
    /// It must see what comes after this.
    start: EventId,
    /// What was lost up to here is no news to it: it asked for the earliest there is.
    excused: EventId,
    /// Where the id of the last block stands in the node's order.
    seen_through: EventId,
    /// Last event id as the client would send it.
    pub(super) cursor: Option<String>,
    last_event: EventId,
    received: Vec<usize>,
    gaps: Vec<ToldGap>,
    private: usize,
    primed: bool,
    /// Every gap must end in an event that is really missing.
    pub(super) exact: bool,
}

impl Session {
    pub(super) fn new(rights: Rights, (start, excused): (EventId, EventId), exact: bool) -> Self {
        Self {
            rights,
            start,
            excused,
            seen_through: EventId::ZERO,
            cursor: None,
            last_event: EventId::ZERO,
            received: Vec::new(),
            gaps: Vec::new(),
            private: 0,
            primed: false,
            exact,
        }
    }

    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Private events received.
    pub(super) fn private(&self) -> usize {
        self.private
    }

    /// Whether it asked for a pattern.
    pub(super) fn has_pattern(&self) -> bool {
        let mut selectors = self.rights.selectors.iter();
        selectors.any(|one| matches!(one, Sel::Pattern(_)))
    }

    pub(super) fn events(&self) -> usize {
        self.received.len()
    }

    /// Takes a block in and checks that the client's cursor is safe after it.
    pub(super) fn take(&mut self, block: &Block, all: &[Published], forgotten: EventId) {
        if block.id.is_none() {
            assert!(
                self.primed && block.data.is_none(),
                "only the farewell has no id"
            );
            return;
        }
        let position = match (&block.data, block.event.as_str()) {
            (None, _) => {
                self.primed = true;
                block
                    .id
                    .as_deref()
                    .expect("a prime or heartbeat has an id")
                    .parse()
                    .expect("our id")
            }
            (Some(data), "gap") => self.take_gap(data, block, all, forgotten),
            (Some(data), _) => self.take_event(data, block, all),
        };
        assert!(self.primed, "the prime comes first");
        assert!(
            position >= self.seen_through,
            "the cursor went back: {block:?} {self:?}"
        );
        self.seen_through = position;
        self.cursor.clone_from(&block.id);
        self.check_through(position, all);
    }

    fn take_event(&mut self, data: &str, block: &Block, all: &[Published]) -> EventId {
        let number: usize = data.parse().expect("an event's number");
        let event = &all[number];
        assert!(self.wants(event), "not its event: {event:?} {self:?}");
        self.private += usize::from(event.private);
        assert_eq!(block.id.as_deref(), Some(event.wire_id.as_str()));
        assert!(
            event.id > self.last_event,
            "out of order or twice: {event:?}"
        );
        assert!(event.id > self.start, "from before the start: {event:?}");
        self.last_event = event.id;
        self.received.push(number);
        event.id
    }

    fn take_gap(
        &mut self,
        data: &str,
        block: &Block,
        all: &[Published],
        forgotten: EventId,
    ) -> EventId {
        let told: serde_json::Value = serde_json::from_str(data).expect("JSON");
        let text = |key: &str| told[key].as_str().expect("a string").to_owned();
        let to: EventId = text("to").parse().expect("an id");
        let reason = text("reason");
        let from = if reason == "unknown" {
            EventId::ZERO
        } else {
            text("from").parse().expect("an id")
        };
        if self.exact && reason != "unknown" && to > forgotten {
            let missing = all
                .iter()
                .rfind(|event| event.id <= to && self.wants(event));
            let missing = missing
                .filter(|event| event.id > from)
                .expect("something is missing");
            assert_eq!(
                missing.id, to,
                "the gap ends where the last missing event does"
            );
            assert!(
                self.last_event < to,
                "the gap ends in an event that was seen"
            );
        }
        self.gaps.push(ToldGap { from, to });
        block
            .id
            .as_deref()
            .expect("a gap has an id")
            .parse()
            .expect("our id")
    }

    fn wants(&self, event: &Published) -> bool {
        self.rights.cover(event)
    }

    /// Everything up to `position` was received or told as missing. (Events only, since `position` rises: what was checked stays true.)
    fn check_through(&self, position: EventId, all: &[Published]) {
        for (number, event) in all.iter().enumerate() {
            let due = event.id > self.start.max(self.excused)
                && event.id <= position
                && self.wants(event);
            if due && self.received.binary_search(&number).is_err() {
                let told = self
                    .gaps
                    .iter()
                    .any(|gap| gap.from < event.id && event.id <= gap.to);
                assert!(
                    told,
                    "cursor {position} passed over {event:?} without a gap ({:?}) {self:?}",
                    self.gaps
                );
            }
        }
    }

    /// At the end, with nothing in the way: everything has arrived.
    pub(super) fn finish(&self, all: &[Published]) {
        assert!(self.primed, "never greeted");
        self.check_through(EventId::new(u64::MAX), all);
    }
}
