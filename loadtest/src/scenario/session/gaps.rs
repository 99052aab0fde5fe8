//! Whether the gaps that streams were told name exactly what is missing.

use crate::message::Checked;
use crate::outcome::Group;
use crate::reader::gaps::{Claim, Run};
use crate::recorder::Recorder;
use crate::wire::event_id::{EventId, Span};

/// What a gap is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// Every missing event is within its range, and none that was received.
    Exact,
    /// A missing event is outside of its range.
    Short,
    /// An event that was received is within its range, and no missing one outside.
    Wide,
    /// Nothing is missing.
    Needless,
    /// Its range, or the id of a missing event, is unknown.
    Unchecked,
}

const FIGURES: [(Worth, &str, &str); 5] = [
    (
        Worth::Exact,
        "gaps_exact",
        "… whose range is exactly what is missing",
    ),
    (
        Worth::Short,
        "gaps_short",
        "… whose range leaves out a missing event",
    ),
    (
        Worth::Wide,
        "gaps_wide",
        "… whose range has an event that was received",
    ),
    (
        Worth::Needless,
        "gaps_needless",
        "… although nothing is missing",
    ),
    (
        Worth::Unchecked,
        "gaps_unchecked",
        "… whose range could not be checked",
    ),
];

/// Adds how many gaps name what is missing, and how many do not. `ids` are those of the events,
/// topic by topic.
pub(super) fn note(record: &mut Recorder, checked: &Checked, ids: &[Vec<EventId>]) {
    for (worth, name, label) in FIGURES {
        let of_it = checked
            .claims
            .iter()
            .filter(|(claim, _)| worth_of(claim, ids) == worth);
        let mut gaps: u64 = of_it.map(|(_, count)| count).sum();
        if worth == Worth::Unchecked {
            gaps += checked.gaps_beyond;
        }
        record.count(Group::Truth, name, label, gaps);
    }
    let mut claims = checked.claims.iter().map(|(claim, _)| claim);
    if let Some(text) = claims.find_map(|claim| example(claim, ids)) {
        record.warn(text);
    }
    let untold = checked.claims.iter();
    let untold = untold.map(|(claim, count)| untold_by(claim, ids) * count);
    let label = "events missing outside of the range of their gap";
    record.count(Group::Truth, "untold", label, untold.sum());
}

/// How many missing events the gap stands for that are not within its range.
fn untold_by(claim: &Claim, ids: &[Vec<EventId>]) -> u64 {
    let runs = claim.missing.iter();
    runs.map(|run| outside(claim, run, ids).count() as u64)
        .sum()
}

/// The events of a run that are not within the range of the gap: their numbers and ids. One that
/// was refused has no id.
fn outside<'a>(
    claim: &Claim,
    run: &Run,
    ids: &'a [Vec<EventId>],
) -> impl Iterator<Item = (usize, EventId)> + use<'a> {
    let (first, last, span) = (run.first as usize, run.last as usize, claim.span);
    let ids = ids.get(run.topic as usize);
    let ids = ids.and_then(|ids| ids.get(first - 1..last));
    let numbered = ids.unwrap_or_default().iter().copied().enumerate();
    numbered
        .filter(move |(_, id)| {
            *id != EventId::default() && span.is_some_and(|span| !span.contains(*id))
        })
        .map(move |(place, id)| (first + place, id))
}

/// A gap that leaves out a missing event, for people.
fn example(claim: &Claim, ids: &[Vec<EventId>]) -> Option<String> {
    let Span { from, to } = claim.span?;
    claim.missing.iter().find_map(|run| {
        let (number, id) = outside(claim, run, ids).next()?;
        let Run { topic, first, last } = run;
        Some(format!(
            "the gap after {from} up to {to} leaves out event {number} of topic {topic}, {id}; events {first} to {last} of it are missing"
        ))
    })
}

fn worth_of(claim: &Claim, ids: &[Vec<EventId>]) -> Worth {
    let Some(span) = claim.span else {
        return Worth::Unchecked;
    };
    if !claim.needed {
        return Worth::Needless;
    }
    let id = |topic: u32, number: u32| {
        let id = *ids.get(topic as usize)?.get(number as usize - 1)?;
        (id != EventId::default()).then_some(id)
    };
    for run in &claim.missing {
        let ends = [run.first, run.last].map(|number| id(run.topic, number));
        let [Some(first), Some(last)] = ends else {
            return Worth::Unchecked;
        };
        if !span.contains(first) || !span.contains(last) {
            return Worth::Short;
        }
    }
    match claim.wide {
        true => Worth::Wide,
        false => Worth::Exact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> EventId {
        EventId::parse(&format!("{number}-0")).expect("an id")
    }

    /// The gap from 10 to 20, where events 1 to 3 of the topic are missing.
    fn claim() -> Claim {
        let run = Run {
            topic: 0,
            first: 1,
            last: 3,
        };
        Claim {
            span: Some(Span {
                from: id(10),
                to: id(20),
            }),
            wide: false,
            needed: true,
            missing: vec![run],
        }
    }

    fn worth(claim: &Claim, ids: [u64; 3]) -> Worth {
        worth_of(claim, &[ids.map(id).to_vec()])
    }

    #[test]
    fn a_range_is_exact_if_it_has_all_that_is_missing_and_nothing_else() {
        assert_eq!(worth(&claim(), [11, 15, 20]), Worth::Exact);
        assert_eq!(worth(&claim(), [10, 15, 20]), Worth::Short);
        assert_eq!(worth(&claim(), [11, 15, 21]), Worth::Short);
        let wide = Claim {
            wide: true,
            ..claim()
        };
        assert_eq!(worth(&wide, [11, 15, 20]), Worth::Wide);
        assert_eq!(worth(&wide, [11, 15, 21]), Worth::Short);
        let needless = Claim {
            needed: false,
            missing: Vec::new(),
            ..claim()
        };
        assert_eq!(worth(&needless, [11, 15, 20]), Worth::Needless);
    }

    #[test]
    fn events_outside_of_a_range_are_untold() {
        let untold = |numbers: [u64; 3]| untold_by(&claim(), &[numbers.map(id).to_vec()]);
        assert_eq!(untold([11, 15, 20]), 0);
        assert_eq!(untold([9, 10, 20]), 2);
        // One that was refused has no id, and is due to nobody.
        assert_eq!(untold([11, 0, 21]), 1);
    }

    #[test]
    fn a_range_is_not_judged_without_the_ids_of_what_is_missing() {
        assert_eq!(worth(&claim(), [11, 15, 0]), Worth::Unchecked);
        assert_eq!(worth_of(&claim(), &[]), Worth::Unchecked);
        let unread = Claim {
            span: None,
            ..claim()
        };
        assert_eq!(worth(&unread, [11, 15, 20]), Worth::Unchecked);
    }
}
