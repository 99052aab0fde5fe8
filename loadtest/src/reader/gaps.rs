//! The gaps that one stream was told, with their ranges: whether a range names an event that the
//! stream received, and which missing events it has to name.

use serde::{Deserialize, Serialize};

use crate::wire::event_id::{EventId, Span};

/// Gaps of one stream whose ranges are kept; later ones count as unchecked.
const GAPS_MAX: u16 = 64;

/// The gaps of one stream, in their order.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    kept: Vec<Gap>,
    /// Gaps beyond [`GAPS_MAX`].
    beyond: u64,
    /// Id of the newest event that was received.
    newest: EventId,
    /// The next events may still be within the range of the last gap.
    fresh: bool,
}

#[derive(Debug)]
struct Gap {
    span: Option<Span>,
    /// An event within the range was received.
    wide: bool,
}

/// The gaps that explain a run of missing events: from the first to the last since the event
/// before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tellers {
    first: u16,
    last: u16,
}

/// A gap as it was told, to be compared with the ids of the missing events.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Claim {
    /// Its range, if that can be read.
    pub(crate) span: Option<Span>,
    /// An event within the range was received.
    pub(crate) wide: bool,
    /// An event is missing for which it stands, due or not.
    pub(crate) needed: bool,
    /// The missing events that it has to name.
    pub(crate) missing: Vec<Run>,
}

/// Missing events of a topic, by their numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Run {
    pub(crate) topic: u32,
    /// The first one that is due.
    pub(crate) first: u32,
    /// The last one.
    pub(crate) last: u32,
}

impl Tellers {
    /// The same with one more gap.
    pub(super) fn and(before: Option<Self>, last: u16) -> Self {
        let first = before.map_or(last, |before| before.first);
        Self { first, last }
    }
}

impl Gaps {
    /// None, for a stream that begins where this one is now.
    pub(super) fn begun_here(&self) -> Self {
        Self {
            newest: self.newest,
            ..Self::default()
        }
    }

    /// A gap was told; its number.
    pub(super) fn told(&mut self, span: Option<Span>) -> u16 {
        let number = self.kept.len() as u16;
        if number == GAPS_MAX {
            self.beyond += 1;
            return number;
        }
        let wide = span.is_some_and(|span| self.newest > span.from);
        self.kept.push(Gap { span, wide });
        self.fresh = span.is_some();
        number
    }

    /// Id of the newest event that was received.
    pub(super) fn newest(&self) -> EventId {
        self.newest
    }

    /// An event of this id was received; whether it is the newest now.
    pub(super) fn received(&mut self, id: EventId) -> bool {
        if self.fresh
            && let Some(gap) = self.kept.last_mut()
        {
            gap.wide |= gap.span.is_some_and(|span| span.contains(id));
            self.fresh = gap.span.is_some_and(|span| id < span.to);
        }
        let rises = id > self.newest;
        self.newest = self.newest.max(id);
        rises
    }

    /// Gaps whose range was not kept.
    pub(super) fn beyond(&self) -> u64 {
        self.beyond
    }

    /// What each gap told, before it is known what for.
    pub(super) fn claims(&self) -> Vec<Claim> {
        let claim = |gap: &Gap| Claim {
            span: gap.span,
            wide: gap.wide,
            needed: false,
            missing: Vec::new(),
        };
        self.kept.iter().map(claim).collect()
    }
}

/// Adds missing events to the claims of the gaps that explain them. The last of these has to name
/// them, together with those before it. Without a run, none of the missing events is due.
pub(super) fn charge(claims: &mut [Claim], tellers: Tellers, run: Option<Run>) {
    let (first, last) = (usize::from(tellers.first), usize::from(tellers.last));
    let Some(tellers) = claims.get_mut(first..=last) else {
        return;
    };
    let mut span: Option<Span> = None;
    for claim in tellers.iter_mut() {
        claim.needed = true;
        span = match (span, claim.span) {
            (Some(before), Some(this)) => Some(before.join(this)),
            (before, this) => before.or(this),
        };
    }
    if let (Some(claim), Some(run)) = (tellers.last_mut(), run) {
        claim.span = span;
        claim.missing.push(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> EventId {
        EventId::parse(&format!("{number}-0")).expect("an id")
    }

    fn span(from: u64, to: u64) -> Option<Span> {
        let (from, to) = (id(from), id(to));
        Some(Span { from, to })
    }

    /// Whether the gap from 10 to 20 is too wide after and before these events.
    fn wide(before: &[u64], after: &[u64]) -> bool {
        let mut gaps = Gaps::default();
        before.iter().for_each(|number| {
            gaps.received(id(*number));
        });
        gaps.told(span(10, 20));
        after.iter().for_each(|number| {
            gaps.received(id(*number));
        });
        gaps.claims()[0].wide
    }

    #[test]
    fn a_range_with_an_event_that_was_received_is_too_wide() {
        assert!(!wide(&[9, 10], &[21]) && !wide(&[], &[]));
        assert!(wide(&[11], &[21]) && wide(&[10], &[20]) && wide(&[10], &[11, 21]));
        // An event of another topic may come before it.
        assert!(wide(&[10], &[9, 15]));
    }

    #[test]
    fn two_gaps_in_a_row_explain_together() {
        let mut gaps = Gaps::default();
        let first = Tellers::and(None, gaps.told(span(10, 20)));
        let both = Tellers::and(Some(first), gaps.told(span(20, 30)));
        let run = Run {
            topic: 0,
            first: 1,
            last: 2,
        };
        let mut claims = gaps.claims();
        charge(&mut claims, both, Some(run));
        assert!(claims[0].needed && claims[0].missing.is_empty());
        assert_eq!(
            (claims[1].span, claims[1].missing.as_slice()),
            (span(10, 30), [run].as_slice())
        );
    }

    #[test]
    fn a_stream_that_is_told_gap_after_gap_keeps_a_few() {
        let mut gaps = Gaps::default();
        let last = (0..1_000).map(|_| gaps.told(span(1, 2))).last();
        assert_eq!(gaps.claims().len(), usize::from(GAPS_MAX));
        assert_eq!(gaps.beyond(), 1_000 - u64::from(GAPS_MAX));
        let tellers = Tellers::and(None, last.expect("a gap"));
        charge(&mut gaps.claims(), tellers, None);
    }
}
