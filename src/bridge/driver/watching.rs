//! Which of the nodes gave no sign of life for too long. No task, and no clock but the one that the
//! caller reads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::bridge::redis::Beat;

/// Time without a beat after which a node is dead.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(10);

/// Time between two looks after which all begin anew.
const LOOK_LATE: Duration = Duration::from_secs(5);

/// A node, as it was last seen to change.
struct Watched {
    beat: Beat,
    since: Instant,
}

/// The beats of all nodes, as one node sees them.
#[derive(Default)]
pub(super) struct Watching {
    nodes: HashMap<u64, Watched>,
    looked: Option<Instant>,
}

impl Watching {
    /// Takes in what the beats of all nodes are now.
    pub(super) fn look(&mut self, beats: &[(u64, Beat)], now: Instant) {
        if self.looked.is_some_and(|at| now - at > LOOK_LATE) {
            self.interrupted();
        }
        self.looked = Some(now);
        let mut before = std::mem::take(&mut self.nodes);
        let watched = beats.iter().map(|(name, beat)| {
            let same = before.remove(name).filter(|one| one.beat == *beat);
            let beat = beat.clone();
            (*name, same.unwrap_or(Watched { beat, since: now }))
        });
        self.nodes = watched.collect();
    }

    /// The beats could not be read. Then nobody may have been able to count, and all begin anew.
    pub(super) fn interrupted(&mut self) {
        self.nodes.clear();
    }

    /// Whether this beat stood still for too long at the last look.
    pub(super) fn is_silent(&self, name: u64) -> bool {
        let (Some(node), Some(looked)) = (self.nodes.get(&name), self.looked) else {
            return false;
        };
        looked - node.since >= DEAD_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watching, and the seconds since it began.
    struct Run {
        watching: Watching,
        start: Instant,
    }

    impl Run {
        fn new() -> Self {
            let (watching, start) = (Watching::default(), Instant::now());
            Self { watching, start }
        }

        /// A look, `second` after the start, at nodes with these counts. Returns those that are
        /// silent.
        fn look(&mut self, second: u64, counts: &[(u64, u64)]) -> Vec<u64> {
            let beat = |(name, count): &(u64, u64)| (*name, Beat::Counted(count.to_string()));
            let beats: Vec<_> = counts.iter().map(beat).collect();
            let now = self.start + Duration::from_secs(second);
            self.watching.look(&beats, now);
            let names = counts.iter().map(|(name, _)| *name);
            names
                .filter(|name| self.watching.is_silent(*name))
                .collect()
        }
    }

    #[test]
    fn a_node_whose_beat_stands_still_for_ten_seconds_is_silent_and_others_are_not() {
        let mut run = Run::new();
        for second in 0..10 {
            assert!(run.look(second, &[(1, 7), (2, second)]).is_empty());
        }
        assert_eq!(run.look(10, &[(1, 7), (2, 10)]), [1u64]);
        assert!(run.look(11, &[(1, 8), (2, 11)]).is_empty());
    }

    #[test]
    fn a_node_that_was_not_looked_at_for_too_long_is_not_silent() {
        let mut run = Run::new();
        for second in [0, 4, 8] {
            assert!(run.look(second, &[(1, 7)]).is_empty());
        }
        assert!(run.look(14, &[(1, 7)]).is_empty());
        for second in [18, 22] {
            assert!(run.look(second, &[(1, 7)]).is_empty());
        }
        assert_eq!(run.look(24, &[(1, 7)]), [1u64]);
    }

    #[test]
    fn a_connection_that_was_lost_for_a_moment_begins_the_ten_seconds_anew() {
        let mut run = Run::new();
        for second in [0, 4, 8] {
            assert!(run.look(second, &[(1, 7)]).is_empty());
        }
        run.watching.interrupted();
        assert!(!run.watching.is_silent(1));
        for second in [9, 13, 17] {
            assert!(run.look(second, &[(1, 7)]).is_empty());
        }
        assert_eq!(run.look(19, &[(1, 7)]), [1u64]);
    }

    #[test]
    fn a_node_that_was_gone_for_a_look_is_a_new_one() {
        let mut run = Run::new();
        for second in [0, 4] {
            assert!(run.look(second, &[(1, 7)]).is_empty());
        }
        assert!(run.look(8, &[]).is_empty());
        assert!(!run.watching.is_silent(1));
        assert!(run.look(12, &[(1, 7)]).is_empty());
    }
}
