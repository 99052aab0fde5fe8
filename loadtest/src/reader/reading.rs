//! What one read of a stream brings: each event goes into the stream's ledger, its id is compared,
//! its latency recorded.

use super::faults::{Fault, Wrong};
use super::ledger::{Came, Ledger};
use super::stream::{Context, Heard, Silence};
use crate::stamp::Stamp;
use crate::wire::event_id::EventId;
use crate::wire::sse::{Item, Sink};

/// Receives the decoder's items of one read.
pub(super) struct Reading<'a, 'b> {
    pub(super) number: usize,
    pub(super) node: usize,
    pub(super) answered: u64,
    pub(super) now: u64,
    pub(super) context: &'a mut Context<'b>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) silence: &'a mut Silence,
    pub(super) heard: &'a mut Heard,
    /// Id of the block that has just ended.
    pub(super) id: Option<EventId>,
    /// That block had an id; its text is the cursor.
    pub(super) has_id: bool,
    pub(super) cursor: &'a mut Option<Box<str>>,
    pub(super) retry_ms: &'a mut Option<u32>,
    pub(super) blocks: bool,
}

impl Reading<'_, '_> {
    fn event(&mut self, stamp: Stamp) {
        let place = (stamp.run == self.context.run)
            .then(|| self.context.layout.place(self.number, stamp.topic as usize))
            .flatten();
        let Some(place) = place else {
            self.context.tally.foreign += 1;
            return;
        };
        self.silence.ends(self.now);
        let before = self.ledger.newest_id();
        let rises = self.id.is_none_or(|id| self.ledger.id(id));
        let came = self.ledger.event(place, stamp.number, self.context.tally);
        let is_live = stamp.sent >= self.answered;
        let latency = match &mut self.context.comparing {
            Some(comparing) if !is_live => &mut *comparing.replay,
            _ => &mut *self.context.latency,
        };
        if came.is_new() {
            latency.saturating_record(self.now.saturating_sub(stamp.sent));
        }
        self.compare(stamp, came, rises, before);
    }

    /// Notes the id of the event that came, and what is wrong with it.
    fn compare(&mut self, stamp: Stamp, came: Came, rises: bool, before: EventId) {
        let Some(comparing) = &mut self.context.comparing else {
            return;
        };
        let (topic, number, node) = (stamp.topic as usize, stamp.number, self.node);
        let id = self.cursor.as_deref().filter(|_| self.has_id);
        let is_same = id.is_none_or(|id| comparing.ids.came(topic, number, id, node));
        let tally = &mut *self.context.tally;
        tally.ids_fell += u64::from(came.is_new() && !rises);
        tally.ids_differ += u64::from(!is_same);
        let wrong = match came {
            Came::Again => Some(Wrong::Doubled),
            _ if !is_same => Some(Wrong::IdDiffers),
            Came::InOrder | Came::Late if !rises => Some(Wrong::IdFell),
            _ => None,
        };
        if let Some(wrong) = wrong {
            let stream = self.number;
            let fault = || Fault {
                wrong,
                stream,
                node,
                topic,
                number,
                id: id.map(str::to_owned),
                before: Some(before),
            };
            comparing.faults.note(fault, wrong);
        }
    }
}

impl Sink for Reading<'_, '_> {
    fn item(&mut self, item: Item) {
        self.blocks = true;
        let only_retry = std::mem::take(&mut self.heard.retry) && item == Item::Quiet;
        self.heard.anything |= !only_retry;
        match item {
            Item::Event(stamp) => self.event(stamp),
            Item::Gap(span) => {
                self.context.tally.gaps += 1;
                self.ledger.gap(span);
            }
            Item::Foreign => self.context.tally.foreign += 1,
            Item::Quiet => {}
        }
        self.id = None;
        self.has_id = false;
    }

    fn id(&mut self, id: Box<str>) {
        self.id = EventId::parse(&id);
        self.has_id = true;
        self.heard.anything = true;
        *self.cursor = Some(id);
    }

    fn keeps_ids(&self) -> bool {
        self.context.keep_cursor
    }

    fn retry(&mut self, milliseconds: u64) {
        self.heard.retry = true;
        *self.retry_ms = Some(u32::try_from(milliseconds).unwrap_or(u32::MAX));
    }
}
