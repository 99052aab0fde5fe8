//! The judge: compares what each stream was sent, and what each publisher was answered, with what
//! the log holds at the end.
//!
//! It knows nothing of the node. An event is a number that a publisher has given it; every number is
//! offered once, so the number alone tells an event that came twice, or came changed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::id::Id;

/// Faults that a report shows of each kind; the rest are counted.
const SHOWN: usize = 5;

/// The log as it is at the end: of each topic the events, by rising ids.
#[derive(Debug, Default)]
pub(crate) struct Log {
    topics: HashMap<u32, Vec<(Id, u64)>>,
    places: HashMap<u64, Id>,
    twice: Vec<u64>,
}

impl Log {
    /// Adds the entry behind the last one.
    pub(crate) fn push(&mut self, id: Id, topic: u32, number: u64) {
        self.topics.entry(topic).or_default().push((id, number));
        if self.places.insert(number, id).is_some() {
            self.twice.push(number);
        }
    }

    /// Where an event is.
    pub(crate) fn place(&self, number: u64) -> Option<Id> {
        self.places.get(&number).copied()
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.places.len() + self.twice.len()
    }

    fn of(&self, topic: u32) -> &[(Id, u64)] {
        self.topics.get(&topic).map_or(&[], Vec::as_slice)
    }
}

/// Why events are missing, in the words of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The events above this are missing; the beginning for a cursor that is no id.
    pub(crate) from: Id,
    /// The last that is.
    pub(crate) to: Id,
    /// `log`, `lagged`, `evicted`, `unknown`, `upstream`.
    pub(crate) reason: String,
}

impl Gap {
    fn covers(&self, id: Id) -> bool {
        self.from < id && id <= self.to
    }
}

/// What a stream was sent, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// An event.
    Event(Id, u64),
    /// A gap.
    Gap(Gap),
}

/// One stream, over all its connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// What it subscribes to.
    pub(crate) topics: Vec<u32>,
    /// Its first cursor: what is above is due.
    pub(crate) begin: Id,
    /// What came.
    pub(crate) items: Vec<Item>,
}

impl Account {
    /// The gaps that it was told.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.items.iter().filter_map(|item| match item {
            Item::Gap(gap) => Some(gap),
            Item::Event(..) => None,
        })
    }
}

/// What a publisher knows of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered 200 with this id.
    Published(Id),
    /// Refused: certainly not published.
    Refused,
    /// Not known: no answer, or one that says so.
    Unknown,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An event of the log that a stream was neither sent nor told of.
    Lost(Id),
    /// An event that a stream was sent again.
    Doubled(Id),
    /// An event that came after a later one.
    Disordered(Id),
    /// An event that the log does not have, without a gap `log` behind it that names it.
    Invented(Id),
    /// An event of another topic, or with the data of another one, without a gap `log` behind it.
    Altered(Id),
    /// A gap that ends before it begins.
    Backwards(Id, Id),
    /// A 200 for an event that the log does not have.
    Vanished(u64),
    /// A 200 with another id than the log's.
    Misplaced(u64),
    /// An event that was refused and is in the log.
    Refused(u64),
    /// An event that is in the log twice.
    Twice(u64),
}

/// Checks one stream against the log, up to and including `until`.
pub(crate) fn stream(log: &Log, account: &Account, until: Id) -> Vec<Fault> {
    let mut due: BTreeMap<Id, u64> = BTreeMap::new();
    for topic in &account.topics {
        let events = log.of(*topic);
        let from = events.partition_point(|(id, _)| *id <= account.begin);
        let to = events.partition_point(|(id, _)| *id <= until);
        due.extend(events.get(from..to).unwrap_or_default().iter().copied());
    }
    let mut faults = Vec::new();
    let mut seen: HashMap<Id, u64> = HashMap::new();
    let mut last = account.begin;
    // What the log does not have; two logs may give one id.
    let mut phantoms: Vec<(Id, Fault)> = Vec::new();
    for item in &account.items {
        match item {
            Item::Gap(gap) => {
                if gap.to < gap.from {
                    faults.push(Fault::Backwards(gap.from, gap.to));
                }
                // It was sent, then the log lost it and said so.
                phantoms.retain(|(id, _)| !(gap.reason == "log" && gap.covers(*id)));
            }
            Item::Event(id, number) => {
                if seen.insert(*id, *number).is_some() {
                    faults.push(Fault::Doubled(*id));
                    continue;
                }
                if *id <= last {
                    faults.push(Fault::Disordered(*id));
                }
                last = last.max(*id);
                match due.get(id) {
                    Some(known) if known == number => {}
                    Some(_) => phantoms.push((*id, Fault::Altered(*id))),
                    None if *id > until => {}
                    None if log.place(*number) == Some(*id) => faults.push(Fault::Altered(*id)),
                    None => phantoms.push((*id, Fault::Invented(*id))),
                }
            }
        }
    }
    faults.extend(phantoms.into_iter().map(|(_, fault)| fault));
    let is_told = |id: &Id| account.gaps().any(|gap| gap.covers(*id));
    let lost = due
        .keys()
        .filter(|id| !seen.contains_key(id) && !is_told(id));
    faults.extend(lost.map(|id| Fault::Lost(*id)));
    faults
}

/// Checks the answers of publishers against the log. Events in `forgotten` were in a log that lost
/// them: an answer for one of them may stand.
pub(crate) fn answers<'a>(
    log: &Log,
    answers: impl IntoIterator<Item = (&'a u64, &'a Fate)>,
    is_forgotten: impl Fn(Id) -> bool,
) -> Vec<Fault> {
    let mut faults: Vec<Fault> = log.twice.iter().copied().map(Fault::Twice).collect();
    for (number, fate) in answers {
        match (fate, log.place(*number)) {
            (Fate::Published(id), Some(place)) if *id == place => {}
            (Fate::Published(_), Some(_)) => faults.push(Fault::Misplaced(*number)),
            (Fate::Published(id), None) if is_forgotten(*id) => {}
            (Fate::Published(_), None) => faults.push(Fault::Vanished(*number)),
            (Fate::Refused, Some(_)) => faults.push(Fault::Refused(*number)),
            (Fate::Refused, None) | (Fate::Unknown, _) => {}
        }
    }
    faults
}

/// Faults in words: the first of each kind, and how many there are.
pub(crate) struct Report<'a>(pub(crate) &'a [Fault]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<String, Vec<&Fault>> = BTreeMap::new();
        for fault in self.0 {
            let shown = format!("{fault:?}");
            let kind = shown.split('(').next().unwrap_or_default().to_owned();
            kinds.entry(kind).or_default().push(fault);
        }
        for (kind, faults) in kinds {
            let first = &faults[..faults.len().min(SHOWN)];
            write!(f, "{kind}: {} ({first:?}); ", faults.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> Id {
        Id::parse(&format!("{ms}-0")).expect("an id")
    }

    /// Events 1 to 6 at 10, 20 … 60; odd ones of topic 1, even ones of topic 2.
    fn log() -> Log {
        let mut log = Log::default();
        for number in 1..=6 {
            log.push(id(number * 10), (2 - number % 2) as u32, number);
        }
        log
    }

    fn event(number: u64) -> Item {
        Item::Event(id(number * 10), number)
    }

    fn gap(from: u64, to: u64, reason: &str) -> Item {
        Item::Gap(Gap {
            from: id(from),
            to: id(to),
            reason: reason.to_owned(),
        })
    }

    fn judged(topics: &[u32], begin: u64, items: Vec<Item>) -> Vec<Fault> {
        let account = Account {
            topics: topics.to_vec(),
            begin: id(begin),
            items,
        };
        stream(&log(), &account, id(60))
    }

    #[test]
    fn a_whole_stream_has_no_fault() {
        assert_eq!(judged(&[1, 2], 0, (1..=6).map(event).collect()), []);
        assert_eq!(judged(&[2], 20, vec![event(4), event(6)]), []);
        assert_eq!(judged(&[3], 0, vec![]), []);
    }

    #[test]
    fn a_lost_event_is_found() {
        let items = vec![event(1), event(5)];
        assert_eq!(judged(&[1], 0, items), [Fault::Lost(id(30))]);
        assert_eq!(judged(&[1], 30, vec![]), [Fault::Lost(id(50))]);
    }

    #[test]
    fn a_doubled_event_is_found() {
        let items = vec![event(1), event(3), event(3), event(5)];
        assert_eq!(judged(&[1], 0, items), [Fault::Doubled(id(30))]);
    }

    #[test]
    fn a_disordered_event_is_found() {
        let items = vec![event(1), event(5), event(3)];
        assert_eq!(judged(&[1], 0, items), [Fault::Disordered(id(30))]);
        // Also one from before the stream's beginning.
        let items = vec![event(1), event(3), event(5)];
        let faults = judged(&[1], 20, items);
        assert!(faults.contains(&Fault::Disordered(id(10))), "{faults:?}");
    }

    #[test]
    fn events_that_a_gap_names_are_not_lost_and_all_others_are() {
        let items = vec![event(1), gap(10, 30, "evicted"), event(5)];
        assert_eq!(judged(&[1], 0, items), []);
        let items = vec![event(1), gap(10, 29, "evicted"), event(5)];
        assert_eq!(judged(&[1], 0, items), [Fault::Lost(id(30))]);
        let items = vec![event(1), gap(30, 10, "evicted"), event(3), event(5)];
        assert_eq!(judged(&[1], 0, items), [Fault::Backwards(id(30), id(10))]);
    }

    #[test]
    fn an_event_that_the_log_does_not_have_is_a_fault_unless_a_gap_of_the_log_follows() {
        let phantom = Item::Event(id(15), 99);
        let rest = [event(3), event(5)];
        let items = [&[event(1), phantom.clone()], &rest[..]].concat();
        assert_eq!(judged(&[1], 0, items), [Fault::Invented(id(15))]);
        let told = [event(1), phantom.clone(), gap(10, 20, "log")];
        assert_eq!(judged(&[1], 0, [&told, &rest[..]].concat()), []);
        let told = [event(1), phantom.clone(), gap(10, 20, "lagged")];
        assert_eq!(
            judged(&[1], 0, [&told, &rest[..]].concat()),
            [Fault::Invented(id(15))]
        );
        // The log has another event there.
        let told = [event(1), Item::Event(id(30), 99), gap(10, 40, "log")];
        assert_eq!(judged(&[1], 0, [&told, &rest[1..]].concat()), []);
        // Told before it came.
        let told = [event(1), gap(10, 20, "log"), phantom];
        assert_eq!(
            judged(&[1], 0, [&told, &rest[..]].concat()),
            [Fault::Invented(id(15))]
        );
    }

    #[test]
    fn foreign_events_and_changed_ones_are_found() {
        let items = vec![event(1), event(2), event(3), event(5)];
        assert_eq!(judged(&[1], 0, items), [Fault::Altered(id(20))]);
        let items = vec![event(1), Item::Event(id(30), 4), event(5)];
        assert_eq!(judged(&[1], 0, items), [Fault::Altered(id(30))]);
    }

    #[test]
    fn answers_are_compared_with_the_log() {
        let mut log = log();
        log.push(id(70), 1, 1);
        let fates = [
            (2, Fate::Published(id(20))),
            (3, Fate::Published(id(31))),
            (4, Fate::Refused),
            (5, Fate::Unknown),
            (7, Fate::Published(id(65))),
            (8, Fate::Published(id(80))),
            (9, Fate::Refused),
            (10, Fate::Unknown),
        ];
        let fates = fates.iter().map(|(number, fate)| (number, fate));
        assert_eq!(
            answers(&log, fates, |id| id.ms() == 65),
            [
                Fault::Twice(1),
                Fault::Misplaced(3),
                Fault::Refused(4),
                Fault::Vanished(8)
            ]
        );
    }

    #[test]
    fn a_report_counts_what_it_does_not_show() {
        let faults: Vec<Fault> = (1..=7).map(|ms| Fault::Lost(id(ms))).collect();
        let text = Report(&faults).to_string();
        assert!(text.starts_with("Lost: 7 ([Lost(1-0), "), "{text}");
        assert!(!text.contains("Lost(6-0)"), "{text}");
    }
}
